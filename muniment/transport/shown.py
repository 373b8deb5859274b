"""The certificates that this process shows to servers, and when they end: a renewal that failed, or that a
process has not seen, is told before anything is refused for it."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509


@dataclass(frozen=True)
class ShownCertificate:
    """A client's certificate, in the PEM file at `path`; `name` is for figures, `connection` for people.
    `reloads`: each connection shows what the file
    holds then; else what it held at the start is shown until the process ends."""

    name: str
    connection: str
    path: Path
    reloads: bool
    _at_start: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_at_start", expiry_of(self.path))

    def ends_at(self) -> datetime | None:
        """When what is shown now ends; None where there is no certificate in the file."""
        return expiry_of(self.path) if self.reloads else self._at_start

    @property
    def is_renewed_unseen(self) -> bool:
        """Whether the file holds a certificate that lasts longer than the one which is shown."""
        if self.reloads or self._at_start is None:
            return False
        present = expiry_of(self.path)
        return present is not None and present > self._at_start


def expiry_of(path: Path) -> datetime | None:
    """Of the first certificate in a PEM file, which is the one that is shown; None where none can be
    read."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError, x509.InvalidVersion):
        return None
