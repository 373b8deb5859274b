"""Searches and questions as clients ask them."""

from typing import Annotated

from pydantic import Field

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
    """`stream` answers with server-sent events."""

    stream: bool = Field(default=False)
    cache: MayBeCached = True

    @property
    def request(self) -> QuestionRequest:
        """What is asked."""
        return QuestionRequest.model_validate(self.model_dump(exclude={"stream", "cache"}))
