"""`/v1/integrity`: whether what is stored is what was stored."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from muniment.client.building import get, post
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.protocol import Call

_PATH = "/v1/integrity"


class IntegrityRun(Record):
    """One look through some blobs. `planned_blobs` is None until it has begun."""

    id: UUID
    state: str
    created_at: datetime | None = None
    finished_at: datetime | None = None
    planned_blobs: int | None = None
    blobs: int = 0
    looked_again: int = 0
    bytes: int = 0
    faults_found: int = 0
    faults_closed: int = 0
    is_cut_short: bool = False
    is_store_away: bool = False


class NeededBy(Record):
    """A version that needs a blob: as its `content`, or as what that stage made of it."""

    file_id: UUID
    version: int
    role: str


class IntegrityFault(Record):
    """A blob that is not what was stored."""

    id: UUID
    blob_id: UUID
    kind: str
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    needed_by: Sequence[NeededBy] = ()


class IntegrityReport(Record):
    """Runs, newest first; and the first hundred of what is wrong now, first found first."""

    data: Sequence[IntegrityRun] = ()
    next_cursor: str | None = None
    open_faults: int = 0
    faults: Sequence[IntegrityFault] = ()


def get_integrity_report(*, limit: int = 50, cursor: str | None = None) -> Call[IntegrityReport]:
    return get(_PATH, IntegrityReport, {"limit": limit, "cursor": cursor})


def list_integrity_faults(
    *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[IntegrityFault]]:
    """First found first."""
    return get(f"{_PATH}/faults", Listing[IntegrityFault], {"limit": limit, "cursor": cursor})


def verify_integrity() -> Call[IntegrityRun]:
    """Looks through as much as a scheduled run; one that is at work answers with itself."""
    return post(f"{_PATH}/verify", IntegrityRun)


class IntegrityOperations:
    """`/v1/integrity`."""

    report = Operation(get_integrity_report)
    faults = Operation(list_integrity_faults)
    verify = Operation(verify_integrity)


class Integrity(IntegrityOperations, Resource):
    """`/v1/integrity`."""


class AsyncIntegrity(IntegrityOperations, AsyncResource):
    """`/v1/integrity`."""
