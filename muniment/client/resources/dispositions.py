"""`/v1/retention-sweeps` and `/v1/dispositions`: what becomes of files that nothing keeps any more."""

from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, create, get, given, segment, time_text
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call

_SWEEPS = "/v1/retention-sweeps"
_DISPOSITIONS = "/v1/dispositions"


class RetentionDecision(Record):
    """Of one person: approve or reject."""

    id: UUID
    stage: int = 1
    verdict: str
    principal_id: UUID
    reason: str = ""
    created_at: datetime | None = None


class RetentionSweep(Record):
    """`state`: judging, waiting (for a decision), acting, completed, rejected, expired or cancelled. `most`:
    so many may be deleted and relabelled without a decision. Decisions are of a sweep that is shown alone."""

    id: UUID
    state: str
    dry_run: bool = False
    as_of: datetime
    requested_by: UUID | None = None
    created_at: datetime | None = None
    judged_at: datetime | None = None
    finished_at: datetime | None = None
    files: int = 0
    held: int = 0
    due_deletions: int = 0
    due_reviews: int = 0
    due_relabelings: int = 0
    most: int | None = None
    deleted: int = 0
    reviews: int = 0
    relabelled: int = 0
    passed_over: int = 0
    decisions: tuple[RetentionDecision, ...] = ()


class Disposition(Record):
    """A file that two people are to agree about. `state`: open, approved, rejected or withdrawn."""

    id: UUID
    file_id: UUID
    sweep_id: UUID
    state: str
    policies: tuple[UUID, ...] = ()
    created_at: datetime | None = None
    ended_at: datetime | None = None
    keep_until: datetime | None = None
    job_id: UUID | None = None
    decisions: tuple[RetentionDecision, ...] = ()


def start_sweep(*, dry_run: bool = False, as_of: datetime | None = None) -> Call[RetentionSweep]:
    """A time to come is of a dry run alone."""
    return create(_SWEEPS, RetentionSweep, given(dry_run=dry_run, as_of=time_text(as_of)))


def list_sweeps(
    *, state: str | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Listing[RetentionSweep]]:
    """Newest first."""
    parameters = {"state": state, "limit": limit, "cursor": cursor}
    return get(_SWEEPS, Listing[RetentionSweep], parameters)


def get_sweep(retention_sweep_id: Id) -> Call[RetentionSweep]:
    return get(f"{_SWEEPS}/{segment(retention_sweep_id)}", RetentionSweep)


def decide_sweep(retention_sweep_id: Id, verdict: str, reason: str) -> Call[RetentionSweep]:
    """`approve` or `reject`."""
    return Call(
        "POST",
        f"{_SWEEPS}/{segment(retention_sweep_id)}/decisions",
        read_model(RetentionSweep),
        json={"verdict": verdict, "reason": reason},
    )


def list_dispositions(
    *, state: str | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Disposition]]:
    """Newest first."""
    parameters = {"state": state, "limit": limit, "cursor": cursor}
    return get(_DISPOSITIONS, Listing[Disposition], parameters)


def get_disposition(disposition_id: Id) -> Call[Disposition]:
    return get(f"{_DISPOSITIONS}/{segment(disposition_id)}", Disposition)


def decide(
    disposition_id: Id, verdict: str, reason: str, *, keep_days: int | None = None
) -> Call[Disposition]:
    """`approve` or `reject`; of a rejection for how long nobody is asked again."""
    return Call(
        "POST",
        f"{_DISPOSITIONS}/{segment(disposition_id)}/decisions",
        read_model(Disposition),
        json=given(verdict=verdict, reason=reason, keep_days=keep_days),
    )


class DispositionOperations:
    """`/v1/retention-sweeps` and `/v1/dispositions`."""

    start_sweep = Operation(start_sweep)
    list_sweeps = Operation(list_sweeps)
    get_sweep = Operation(get_sweep)
    decide_sweep = Operation(decide_sweep)
    list = Operation(list_dispositions)
    get = Operation(get_disposition)
    decide = Operation(decide)


class Dispositions(DispositionOperations, Resource):
    """`/v1/retention-sweeps` and `/v1/dispositions`."""


class AsyncDispositions(DispositionOperations, AsyncResource):
    """`/v1/retention-sweeps` and `/v1/dispositions`."""
