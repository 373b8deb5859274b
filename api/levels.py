"""What is answered to whoever lacks a level: 404 where it may not even read, else 403."""

from muniment.errors import Forbidden


def lacks_level(level: str, what: str) -> Forbidden:
    """The error for a caller that may read the thing, and not do this to it."""
    return Forbidden(
        f"this needs the level {level} on the {what}, and you have less",
        remedy=f"Ask whoever manages the {what} for a grant of the level {level}.",
    )
