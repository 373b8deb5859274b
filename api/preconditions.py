"""`If-Match` (RFC 9110, 13.1.1): a change is made to what was read, or not at all."""

from typing import Annotated

from fastapi import Header

from muniment.errors import PreconditionFailed

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag that was read: 412 if it is another by now. Without it the change is made"
        " to whatever there is.",
    ),
]


def require_match(if_match: str | None, current: str) -> None:
    """Raises PreconditionFailed when `If-Match` does not name the present ETag."""
    if if_match is None or if_match.strip() == "*":
        return
    if current not in [tag.strip() for tag in if_match.split(",")]:
        raise PreconditionFailed("it changed since it was read")
