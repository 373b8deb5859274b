"""Searches and questions as clients ask them."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from retrieval.request import QuestionRequest, SearchRequest

MayBeCached = Annotated[
    bool,
    Field(
        description="Whether what was answered before may be told again, and this kept for that."
    ),
]


class SearchBody(SearchRequest):
    __doc__ = SearchRequest.__doc__

    cache: MayBeCached = True

    @property
    def request(self) -> SearchRequest:
        """What is searched for."""
        return SearchRequest.model_validate(self.model_dump(exclude={"cache"}))


class QueryBody(QuestionRequest):
    """`stream` answers with server-sent events. With `conversation_id` question and answer become messages of
    that conversation: behind its newest answer, behind the answer `follows`, or in the place of the question
    `edits`, which stays."""

    stream: bool = Field(default=False)
    cache: MayBeCached = True
    conversation_id: UUID | None = None
    follows: UUID | None = None
    edits: UUID | None = None

    @property
    def request(self) -> QuestionRequest:
        """What is asked."""
        own = {"stream", "cache", "conversation_id", "follows", "edits"}
        return QuestionRequest.model_validate(self.model_dump(exclude=own))

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if self.conversation_id is None and (self.edits or self.follows):
            raise ValueError("`edits` and `follows` need `conversation_id`")
        if self.edits and self.follows:
            raise ValueError("`edits` names a place already: leave `follows` out")
        return self
