"""A question as clients ask it."""

from typing import Self
from uuid import UUID

from pydantic import Field, model_validator

from retrieval.request import QuestionRequest


class QueryBody(QuestionRequest):
    """`stream` answers with server-sent events. With `conversation_id` question and answer become messages of
    that conversation: behind its newest answer, behind the answer `follows`, or in the place of the question
    `edits`, which stays."""

    stream: bool = Field(default=False)
    conversation_id: UUID | None = None
    follows: UUID | None = None
    edits: UUID | None = None

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if self.conversation_id is None and (self.edits or self.follows):
            raise ValueError("`edits` and `follows` need `conversation_id`")
        if self.edits and self.follows:
            raise ValueError("`edits` names a place already: leave `follows` out")
        return self
