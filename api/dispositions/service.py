"""Sweeps that are asked for, and decisions: one row each, and nothing acts on anything else."""

from datetime import timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.dispositions.schemas import NewDecision, NewReview, NewSweep, moment_of
from api.jobs.making import origin_of
from db import disposing
from db.audit import record
from db.disposing import Disposing, is_due, lock_and_judge
from db.models import Disposition, Job, RetentionDecision, RetentionSweep, new_id, now
from db.queries import dispositions, retention_sweeps
from db.queries.preservation import UNKEPT
from muniment.contracts.retention import Disposition as Wanted
from muniment.contracts.retention_sweep import (
    DispositionState,
    RetentionVerdict,
    SweepState,
    workflow_id,
)
from muniment.errors import Conflict, NotFound, Unprocessable

STAGES = 2
"""People who decide about a file: who asks for its deletion, and who approves it."""
KEEP_DAYS = 365


async def add_sweep(session: AsyncSession, caller: Caller, wanted: NewSweep) -> RetentionSweep:
    """Raises Conflict while another is open, and Unprocessable for a time to come of what is no dry run."""
    moment = now()
    as_of = moment_of(wanted, moment)
    if as_of > moment and not wanted.dry_run:
        detail = (
            "files are disposed of as of now at the latest; ask for a dry run of a time to come"
        )
        raise Unprocessable(detail, errors=[{"field": "as_of", "detail": detail}])
    sweep_id = new_id()
    new = RetentionSweep(
        id=sweep_id,
        tenant_id=caller.tenant_id,
        workflow_id=workflow_id(sweep_id),
        state=SweepState.JUDGING,
        is_dry_run=wanted.dry_run,
        as_of=as_of,
        requested_by=caller.principal_id,
    )
    sweep = await retention_sweeps.open_sweep(session, new)
    if sweep.id != sweep_id:
        raise Conflict(
            f"the sweep {sweep.id} is {sweep.state}",
            remedy="Wait for its end; one that waits is decided about by POST …/decisions.",
        )
    payload: dict[str, JsonValue] = {"is_dry_run": wanted.dry_run, "as_of": as_of.isoformat()}
    record(session, caller.act("retention_sweep.requested", "retention_sweep", sweep_id, payload))
    return sweep


async def decide_sweep(
    session: AsyncSession, caller: Caller, sweep_id: UUID, wanted: NewDecision
) -> RetentionSweep:
    """Raises NotFound, and Conflict for one that does not wait, or who would approve their own."""
    sweep = await retention_sweeps.get_sweep(session, sweep_id, for_update=True)
    if sweep is None:
        raise NotFound("there is no such retention sweep")
    is_decided = (
        sweep.state == SweepState.WAITING
        and await retention_sweeps.verdict_on(session, sweep) is not None
    )
    if sweep.state != SweepState.WAITING or is_decided:
        raise Conflict("the sweep waits for no decision")
    if wanted.verdict is RetentionVerdict.APPROVE and sweep.requested_by == caller.principal_id:
        raise Conflict("who asked for a sweep does not approve it", remedy="Ask somebody else to.")
    known = await retention_sweeps.decisions_about(session, sweep_id=sweep_id)
    decision = RetentionDecision(
        tenant_id=caller.tenant_id,
        sweep_id=sweep_id,
        stage=len(known) + 1,
        verdict=wanted.verdict,
        principal_id=caller.principal_id,
        reason=wanted.reason,
    )
    session.add(decision)
    _record(session, caller, "retention_sweep.decided", "retention_sweep", sweep_id, decision)
    await session.flush()
    return sweep


async def decide_disposition(
    session: AsyncSession, caller: Caller, disposition_id: UUID, wanted: NewReview
) -> tuple[Disposition, Job | None]:
    """With the last approval the file's erasure is ordered: its job. One rejection ends it. Raises NotFound,
    and Conflict where it is over, the caller has decided already, or the file came to be kept."""
    found = await dispositions.get_disposition(session, disposition_id)
    if found is None:
        raise NotFound("there is no such disposition")
    # The lock of holds, then the file, then the disposition: as a sweep takes them.
    locked, kept = await lock_and_judge(session, [found.file_id], now())
    row = await dispositions.get_disposition(session, disposition_id, for_update=True)
    if row is None or row.state != DispositionState.OPEN:
        raise Conflict("the disposition waits for no decision")
    known = await retention_sweeps.decisions_about(session, disposition_id=disposition_id)
    if any(each.principal_id == caller.principal_id for each in known):
        raise Conflict("you have decided already", remedy="Ask somebody else to.")
    keeping = kept.get(row.file_id, UNKEPT)
    is_kept = not (locked and is_due(keeping) and keeping.judgement.disposition is Wanted.REVIEW)
    if wanted.verdict is RetentionVerdict.APPROVE and is_kept:
        raise Conflict(
            "the file is not to be deleted any more: it is gone, or something keeps it",
            remedy="Look at its retention; the next sweep asks again when it is due.",
        )
    decision = RetentionDecision(
        tenant_id=caller.tenant_id,
        disposition_id=disposition_id,
        stage=len(known) + 1,
        verdict=wanted.verdict,
        principal_id=caller.principal_id,
        reason=wanted.reason,
    )
    session.add(decision)
    _record(session, caller, "disposition.decided", "disposition", disposition_id, decision)
    job = None
    if wanted.verdict is RetentionVerdict.REJECT:
        row.state, row.ended_at = DispositionState.REJECTED, now()
        row.keep_until = row.ended_at + timedelta(days=wanted.keep_days or KEEP_DAYS)
    elif decision.stage >= STAGES:
        by = Disposing(origin_of(caller), caller, row.sweep_id)
        jobs = await disposing.delete(session, by, locked[0], now())
        if not jobs:
            raise Conflict("something that came out of the file is to be kept")
        job = jobs[0]
        row.state, row.ended_at, row.job_id = DispositionState.APPROVED, now(), job.id
    await session.flush()
    return row, job


def _record(
    session: AsyncSession,
    caller: Caller,
    action: str,
    kind: str,
    object_id: UUID,
    decision: RetentionDecision,
) -> None:
    payload: dict[str, JsonValue] = {
        "decision_id": str(decision.id),
        "stage": decision.stage,
        "verdict": decision.verdict,
    }
    record(session, caller.act(action, kind, object_id, payload))
