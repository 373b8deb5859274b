"""Share links, as the API answers them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from muniment.client.models import Record


class Share(Record):
    """A link by which a file is downloaded without a key. `version` None: the one in use. `downloads`
    counts visitors' sessions. `url` stands in the answer that made the link, and nowhere else."""

    id: UUID
    file_id: UUID
    version: int | None = None
    created_by: UUID | None = None
    has_password: bool = False
    networks: Sequence[str] = ()
    max_downloads: int | None = None
    downloads: int = 0
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    url: str | None = None
