"""`If-Match` (RFC 9110, 13.1.1): a change is made to what was read, or not at all."""

from typing import Annotated

from fastapi import Header
from starlette.responses import Response

from muniment.errors import PreconditionFailed

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag that was read: 412 if it is another by now. Without it the change is made"
        " to whatever there is.",
    ),
]


FIRST_TAG = '"1"'
"""Of what was just made, and counts its revisions."""


def tagged(answer: Response, tag: str) -> Response:
    """The answer with the ETag of what it shows."""
    answer.headers["ETag"] = tag
    return answer


def require_match(if_match: str | None, current: str) -> None:
    """Raises PreconditionFailed when `If-Match` does not name the present ETag."""
    if if_match is None or if_match.strip() == "*":
        return
    if current not in [tag.strip() for tag in if_match.split(",")]:
        raise PreconditionFailed("it changed since it was read")
