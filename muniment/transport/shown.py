"""The certificates that this process shows to servers, and when they end: a renewal that failed, or that a
process has not seen, is told before anything is refused for it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from pathlib import Path

from cryptography import x509


class Renewal(Enum):
    """How a renewed certificate comes to be shown."""

    READ_ANEW = auto()
    """Each connection shows what the file holds then."""
    EXCHANGED = auto()
    """The connection is made anew when the file has changed."""
    RESTART = auto()
    """What the file held at the start is shown until the process ends."""


@dataclass
class ShownCertificate:
    """A client's certificate, in the PEM file at `path`; `name` is for figures, `connection` for people."""

    name: str
    connection: str
    path: Path
    renewal: Renewal
    _shown_until: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        self.show_anew()

    def show_anew(self) -> None:
        """From now on what the file holds is shown."""
        self._shown_until = expiry_of(self.path)

    def ends_at(self) -> datetime | None:
        """When what is shown now ends; None where there is no certificate in the file."""
        return expiry_of(self.path) if self.renewal is Renewal.READ_ANEW else self._shown_until

    @property
    def is_renewed_unseen(self) -> bool:
        """Whether the file holds a certificate that lasts longer than the one which is shown."""
        if self.renewal is Renewal.READ_ANEW or self._shown_until is None:
            return False
        present = expiry_of(self.path)
        return present is not None and present > self._shown_until


def expiry_of(path: Path) -> datetime | None:
    """Of the first certificate in a PEM file, which is the one that is shown; None where none can be
    read."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError, x509.InvalidVersion):
        return None
