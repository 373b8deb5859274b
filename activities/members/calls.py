"""What the engine `unpack` is asked and answers: members travel piece by piece as progress."""

from pydantic import ConfigDict

from muniment.contracts.base import Contract


class UnpackRequest(Contract):
    """`total_bytes` and `entries` are what is left of the limits on all that one upload holds."""

    media_type: str
    password: str | None
    total_bytes: int
    entries: int


class MemberPiece(Contract):
    """The next bytes of a member; `ordinal` counts those that may be taken, from 0. `is_abandoned`
    where the rest of it cannot be read: what came of it so far is worth nothing."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    ordinal: int
    path: str
    content: bytes = b""
    is_last: bool = False
    is_abandoned: bool = False


class UnpackOutcome(Contract):
    """How many members were given an ordinal, and how many of the container's were not taken:
    those without an ordinal, and those whose content cannot be read."""

    taken: int
    refused: int
