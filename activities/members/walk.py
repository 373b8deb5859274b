"""What a container holds, one member after the other, through the format's own library.

Members are bounded by what comes out of them, never by what they declare.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from activities.inspect import file_type
from activities.inspect.archive import (
    MAXIMUM_ENTRIES,
    MAXIMUM_RATIO,
    MAXIMUM_TOTAL_BYTES,
    RATIO_COUNTS_ABOVE_BYTES,
)
from activities.members.attachments import mail_members, message_members
from activities.members.member import Member
from activities.members.tar_archive import tar_members
from activities.members.zip_archive import zip_members
from activities.read.damage import damage
from activities.sandbox.content import Content
from muniment.errors import DamagedDocument, LimitExceeded

PIECE_BYTES = 512 * 1024
Walk = Callable[[Content, str | None], Iterator[Member]]

_WALKS: dict[str, Walk] = {
    file_type.ZIP.media_type: zip_members,
    file_type.TAR.media_type: tar_members,
    file_type.EMAIL.media_type: mail_members,
    file_type.MSG.media_type: message_members,
}
ARCHIVES = frozenset((file_type.ZIP.media_type, file_type.TAR.media_type))


def holds_members(media_type: str) -> bool:
    """Whether files of this type may hold others that become files."""
    return media_type in _WALKS


def members_of(content: Content, media_type: str, password: str | None) -> Iterator[Member]:
    """The members in their order; refused ones with the reason. Read each before the next."""
    with damage("The archive is cut short or damaged."):
        for count, member in enumerate(_WALKS[media_type](content, password)):
            if count >= MAXIMUM_ENTRIES:
                raise LimitExceeded(f"The archive has more than {MAXIMUM_ENTRIES:,} entries.")
            yield member


@dataclass(slots=True)
class Budget:
    """How much may come out of one container of `packed_bytes`."""

    packed_bytes: int
    total_bytes: int = MAXIMUM_TOTAL_BYTES
    unpacked_bytes: int = 0

    def spend(self, size: int) -> None:
        """Raises LimitExceeded when this much more is too much."""
        self.unpacked_bytes += size
        if self.unpacked_bytes > self.total_bytes:
            raise LimitExceeded("The archive unpacks to more than 2 GiB with all that is in it.")
        if (
            self.unpacked_bytes > RATIO_COUNTS_ABOVE_BYTES
            and self.unpacked_bytes > MAXIMUM_RATIO * self.packed_bytes
        ):
            raise LimitExceeded(f"The archive unpacks to {MAXIMUM_RATIO} times its size.")


def check_password(member: Member) -> None:
    """Raises EncryptedDocument when the member is encrypted and the password missing or wrong."""
    with suppress(DamagedDocument), damage("The member is damaged."):
        member.open().close()


def pieces_of(member: Member, budget: Budget) -> Iterator[bytes]:
    """The member's bytes; LimitExceeded as soon as they are too many. DamagedDocument or
    EncryptedDocument say nothing about the members after it."""
    with damage("The archive is damaged."), member.open() as file:
        while piece := file.read(PIECE_BYTES):
            budget.spend(len(piece))
            yield piece
