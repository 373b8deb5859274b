"""A question as clients ask it."""

from pydantic import Field

from retrieval.request import QuestionRequest


class QueryBody(QuestionRequest):
    """`stream` answers with server-sent events."""

    stream: bool = Field(default=False)
