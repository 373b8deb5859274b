"""What a visitor is told who gets nothing: few answers, none of which says more than its reader knows."""

import math
from datetime import timedelta


class Refused(Exception):
    """Ends a visit with a page. `retry_after_seconds`: where waiting helps; `way_on`: an address, and what
    is to be had there."""

    def __init__(
        self,
        status: int,
        heading: str,
        text: str,
        *,
        retry_after_seconds: int | None = None,
        way_on: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(heading)
        self.status = status
        self.heading = heading
        self.text = text
        self.retry_after_seconds = retry_after_seconds
        self.way_on = way_on


def absent() -> Refused:
    """Of a link that never was, was revoked, or leads to what is not handed out now: all look alike."""
    return Refused(
        404,
        "There is nothing here",
        "The link is wrong, or was taken back. Ask whoever gave it to you for a new one.",
    )


def ended() -> Refused:
    """Told only to those who have the link itself."""
    return Refused(
        410,
        "This link has ended",
        "Its time is over, or it was used as often as it may be. Ask whoever gave it to you for a new"
        " one.",
    )


def elsewhere() -> Refused:
    """Likewise; nothing of the file."""
    return Refused(
        403,
        "This link does not work from here",
        "It works from certain networks only. Try again from your office or over its VPN, or ask"
        " whoever gave it to you.",
    )


def unmarked() -> Refused:
    """Of a link that hands out marked copies alone, to what cannot be marked."""
    return Refused(
        409,
        "This file cannot be handed out",
        "It was to be marked with who shared it, and cannot be: it is no PDF, too large, encrypted or"
        " damaged. Ask whoever gave you the link.",
    )


def unprepared(retry_after_seconds: int) -> Refused:
    """Of a copy that is being made, or of content that is still being taken in."""
    return Refused(
        503,
        "The file is being prepared",
        "Try again in a moment.",
        retry_after_seconds=retry_after_seconds,
    )


def locked(token: str) -> Refused:
    """Of the content, to whoever has yet to give the password."""
    return Refused(
        403,
        "A password is needed",
        "The file is given to whoever knows it.",
        way_on=(f"../{token}", "Give the password"),
    )


def too_many_tries(wait: timedelta) -> Refused:
    seconds = max(1, math.ceil(wait.total_seconds()))
    minutes = math.ceil(seconds / 60)
    return Refused(
        429,
        "Too many passwords were tried",
        f"Try again in {minutes} minute{'' if minutes == 1 else 's'}.",
        retry_after_seconds=seconds,
    )


def busy(retry_after_seconds: int) -> Refused:
    return Refused(
        429,
        "Too many visitors at a time",
        "Try again in a moment.",
        retry_after_seconds=retry_after_seconds,
    )
