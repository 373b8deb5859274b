"""Rotations of the tenant's key, as the API answers them."""

from datetime import datetime
from uuid import UUID

from muniment.client.models import Record


class KeyRotation(Record):
    """How far a rotation has come. Of two rounds over the data keys, the second begins at `retire_at`;
    afterwards the versions before `to_version` unwrap nothing any more."""

    id: UUID
    state: str
    created_at: datetime | None = None
    finished_at: datetime | None = None
    provider: str | None = None
    from_version: int | None = None
    to_version: int | None = None
    round: int = 1
    percent: float = 0.0
    keys_looked_at: int = 0
    keys_rewrapped: int = 0
    keys_unreadable: int = 0
    retire_at: datetime | None = None
