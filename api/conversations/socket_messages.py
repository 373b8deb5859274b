"""What goes over a conversation's WebSocket: text frames of JSON, a message each (docs/conversations.md)."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from api.conversations.asking import Asked
from api.conversations.schemas import AskingAgain
from api.idempotency import MAX_KEY_CHARACTERS
from retrieval.request import Query

LAST_NUMBER = 2**31 - 2


class AskMessage(AskingAgain):
    """A question, or with `again` the message to be answered once more. The fields are those of
    `/v1/query`; `idempotency_key` is what `Idempotency-Key` is over HTTP."""

    type: Literal["ask"]
    query: Query | None = None
    edits: UUID | None = None
    follows: UUID | None = None
    again: UUID | None = None
    idempotency_key: Annotated[str | None, Field(max_length=MAX_KEY_CHARACTERS)] = None
    stream: Literal[True] = True

    @model_validator(mode="after")
    def _has_one_place(self) -> "AskMessage":
        if (self.query is None) == (self.again is None):
            raise ValueError("either query or again is needed")
        if len([each for each in (self.edits, self.follows, self.again) if each is not None]) > 1:
            raise ValueError("of edits, follows and again one at most goes")
        return self

    def asked_in(self, conversation_id: UUID) -> Asked:
        return Asked(conversation_id, self.query, self.edits, self.follows, self.again)

    def how(self) -> AskingAgain:
        return AskingAgain(**{name: getattr(self, name) for name in AskingAgain.model_fields})


class ResumeMessage(BaseModel):
    """The events of an answer behind the one with the number `after`."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["resume"]
    message_id: UUID
    after: Annotated[int, Field(ge=0, le=LAST_NUMBER)] = 0


SocketMessage = AskMessage | ResumeMessage
SOCKET_MESSAGE: TypeAdapter[SocketMessage] = TypeAdapter(
    Annotated[SocketMessage, Field(discriminator="type")]
)
