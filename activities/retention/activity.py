"""Temporal's face of the sweeps of what retention has ended for."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.running import is_running
from db import disposing
from db.audit import record
from db.disposing import Disposing, is_due, lock_and_judge
from db.erasures import System
from db.ingestions import Origin
from db.models import RetentionSweep, new_id, now
from db.queries import dispositions, retention_sweeps
from db.queries.preservation import UNKEPT, keepings
from db.queries.retention_sweeps import GONE
from db.session import Access, Database
from muniment.contracts.retention import Disposition
from muniment.contracts.retention_sweep import (
    RetentionActivities,
    RetentionSweepInput,
    RetentionVerdict,
    SweepBegun,
    SweepState,
    SweepStep,
    SweepStepDone,
)
from muniment.errors import MunimentError

PAGE_FILES = 1_000
"""Judged in one statement."""
ACTS_AT_ONCE = 50
"""Files that one transaction disposes of: each is locked, with all that came out of it, until it commits."""
LOOK = timedelta(days=1)
"""Whoever decides wakes what waits for that; this is for a word that was lost."""


@dataclass(frozen=True)
class SweepPolicy:
    """How much a sweep deletes and relabels without asking: that share of the tenant's files, and so many
    in any case. `decision`: how long it waits for somebody who decides."""

    share: float
    files: int
    decision: timedelta

    def most(self, files: int) -> int:
        return max(self.files, math.floor(self.share * files))


class Retention(RetentionActivities):
    def __init__(self, database: Database, policy: SweepPolicy) -> None:
        self._database = database
        self._policy = policy

    @activity.defn(name="begin_retention_sweep")
    async def begin_retention_sweep(self, request: RetentionSweepInput) -> SweepBegun:
        async with _attempt():
            mine = activity.info().workflow_id or ""
            async with self._transaction(request.tenant_id) as session:
                if not await _is_wanted(session, mine):
                    return SweepBegun()
                new = RetentionSweep(
                    id=new_id(),
                    tenant_id=request.tenant_id,
                    workflow_id=mine,
                    state="",
                    as_of=now(),
                )
                sweep = await retention_sweeps.open_sweep(session, new)
                if sweep.id == new.id:
                    _record(session, sweep, "retention_sweep.started")
            if sweep.workflow_id == mine:
                return SweepBegun(sweep_id=sweep.id)
            if await is_running(sweep.workflow_id):
                return SweepBegun()
            async with self._transaction(request.tenant_id) as session:
                left = await retention_sweeps.sweep_at_work(session, sweep.id, sweep.workflow_id)
                if left is None:
                    return SweepBegun()
                left.workflow_id = mine
            return SweepBegun(sweep_id=sweep.id)

    @activity.defn(name="step_retention_sweep")
    async def step_retention_sweep(self, request: SweepStep) -> SweepStepDone:
        async with _attempt(), heartbeats(), self._transaction(request.tenant_id) as session:
            mine = activity.info().workflow_id or ""
            sweep = await retention_sweeps.sweep_at_work(session, request.sweep_id, mine)
            if sweep is None:
                return SweepStepDone(is_over=True)
            return await step(session, sweep, self._policy)

    @activity.defn(name="cancel_retention_sweep")
    async def cancel_retention_sweep(self, request: SweepStep) -> None:
        async with _attempt(), self._transaction(request.tenant_id) as session:
            mine = activity.info().workflow_id or ""
            sweep = await retention_sweeps.sweep_at_work(session, request.sweep_id, mine)
            if sweep is not None:
                _end(session, sweep, SweepState.CANCELLED)

    @asynccontextmanager
    async def _transaction(self, tenant_id: UUID) -> AsyncIterator[AsyncSession]:
        async with self._database.transaction(Access(tenant_id)) as session:
            yield session


async def step(session: AsyncSession, sweep: RetentionSweep, policy: SweepPolicy) -> SweepStepDone:
    """The next of the sweep's work, in the transaction that says how far it has come. Its row is locked."""
    if sweep.state == SweepState.JUDGING:
        return await _judge(session, sweep, policy)
    if sweep.state == SweepState.WAITING:
        return await _decided(session, sweep, policy)
    return await _act(session, sweep)


async def _judge(
    session: AsyncSession, sweep: RetentionSweep, policy: SweepPolicy
) -> SweepStepDone:
    ids = await retention_sweeps.next_files(session, sweep.after_id, PAGE_FILES)
    kept = await keepings(session, ids, sweep.as_of)
    due = Counter(each.judgement.disposition for each in kept.values() if is_due(each))
    sweep.files += len(ids)
    sweep.held += sum(each.judgement.is_due and not is_due(each) for each in kept.values())
    sweep.due_deletions += due[Disposition.DELETE]
    sweep.due_reviews += due[Disposition.REVIEW]
    sweep.due_relabelings += due[Disposition.RELABEL]
    if len(ids) == PAGE_FILES:
        sweep.after_id = ids[-1]
        return SweepStepDone()
    sweep.judged_at, sweep.after_id, sweep.acted = now(), None, 0
    sweep.most = policy.most(sweep.files)
    _record(session, sweep, "retention_sweep.judged")
    if sweep.is_dry_run:
        return _end(session, sweep, SweepState.COMPLETED)
    if sweep.due_deletions + sweep.due_relabelings <= sweep.most:
        sweep.state = SweepState.ACTING
        return SweepStepDone()
    sweep.state = SweepState.WAITING
    return SweepStepDone(wait_seconds=_wait(sweep, policy))


async def _decided(
    session: AsyncSession, sweep: RetentionSweep, policy: SweepPolicy
) -> SweepStepDone:
    """The decision's row alone counts."""
    verdict = await retention_sweeps.verdict_on(session, sweep)
    if verdict is RetentionVerdict.REJECT:
        return _end(session, sweep, SweepState.REJECTED)
    if verdict is RetentionVerdict.APPROVE:
        sweep.state = SweepState.ACTING
        return SweepStepDone()
    left = _wait(sweep, policy)
    return SweepStepDone(wait_seconds=left) if left else _end(session, sweep, SweepState.EXPIRED)


def _wait(sweep: RetentionSweep, policy: SweepPolicy) -> float:
    """Seconds until the next look; 0 where nobody decided in time."""
    assert sweep.judged_at is not None  # noqa: S101 - set before it waits
    left = sweep.judged_at + policy.decision - now()
    return max(0.0, min(left, LOOK).total_seconds())


async def _act(session: AsyncSession, sweep: RetentionSweep) -> SweepStepDone:
    """Disposes of some of what is due among the next files. What came to be due since all was judged is left
    to be judged, and asked about, again: nobody has agreed to it."""
    ids = await retention_sweeps.next_files(session, sweep.after_id, PAGE_FILES)
    as_of = min(sweep.as_of, now())
    found = await keepings(session, ids, as_of)
    due = [each for each in ids if is_due(found.get(each, UNKEPT))]
    now_due = due[:ACTS_AT_ONCE]
    locked, kept = await lock_and_judge(session, now_due, as_of)
    by = Disposing(Origin(sweep.tenant_id, None), System(sweep.tenant_id), sweep.id)
    agreed = sweep.due_deletions + sweep.due_relabelings
    for file in locked:
        keeping = kept.get(file.id, UNKEPT)
        if file.state in GONE:  # with what it came out of, just now
            continue
        if not is_due(keeping):
            sweep.passed_over += 1
            continue
        wanted = keeping.judgement.disposition
        if wanted is Disposition.REVIEW:
            sweep.reviews += await disposing.ask(session, by, file, keeping)
            continue
        if sweep.acted >= agreed:
            return _begin_again(session, sweep)
        if wanted is Disposition.RELABEL:
            await disposing.relabel(session, by, file, keeping)
            sweep.relabelled += 1
        elif await disposing.delete(session, by, file, as_of) is None:
            sweep.passed_over += 1
            continue
        else:
            sweep.deleted += 1
        sweep.acted += 1
    await _withdraw(session, by, [each for each in ids if each not in due])
    await session.flush()
    if len(due) > len(now_due):
        sweep.after_id = now_due[-1]
        return SweepStepDone()
    if len(ids) == PAGE_FILES:
        sweep.after_id = ids[-1]
        return SweepStepDone()
    _note(session, by, await dispositions.withdraw_gone(session, PAGE_FILES))
    return _end(session, sweep, SweepState.COMPLETED)


def _begin_again(session: AsyncSession, sweep: RetentionSweep) -> SweepStepDone:
    sweep.state, sweep.after_id, sweep.judged_at = SweepState.JUDGING, None, None
    sweep.files = sweep.held = 0
    sweep.due_deletions = sweep.due_reviews = sweep.due_relabelings = 0
    _record(session, sweep, "retention_sweep.begun_again")
    return SweepStepDone()


async def _withdraw(session: AsyncSession, by: Disposing, file_ids: Sequence[UUID]) -> None:
    """What waits for people about files that something keeps again."""
    _note(session, by, await dispositions.withdraw(session, file_ids))


def _note(session: AsyncSession, by: Disposing, withdrawn: Sequence[tuple[UUID, UUID]]) -> None:
    for disposition_id, file_id in withdrawn:
        payload: dict[str, JsonValue] = {"file_id": str(file_id), "sweep_id": str(by.sweep_id)}
        act = by.actor.act("disposition.withdrawn", "disposition", disposition_id, payload)
        record(session, act)


def _end(session: AsyncSession, sweep: RetentionSweep, state: SweepState) -> SweepStepDone:
    sweep.state, sweep.finished_at = state, now()
    _record(session, sweep, "retention_sweep.ended")
    return SweepStepDone(is_over=True)


def _record(session: AsyncSession, sweep: RetentionSweep, action: str) -> None:
    counts: dict[str, JsonValue] = {
        "state": sweep.state,
        "is_dry_run": sweep.is_dry_run,
        "as_of": sweep.as_of.isoformat(),
        "files": sweep.files,
        "due_deletions": sweep.due_deletions,
        "due_reviews": sweep.due_reviews,
        "due_relabelings": sweep.due_relabelings,
        "deleted": sweep.deleted,
        "reviews": sweep.reviews,
        "relabelled": sweep.relabelled,
    }
    record(session, System(sweep.tenant_id).act(action, "retention_sweep", sweep.id, counts))


async def _is_wanted(session: AsyncSession, workflow_id: str) -> bool:
    """Whether somebody asked for it, or something is to become of a file."""
    if await retention_sweeps.is_open_for(session, workflow_id):
        return True
    return await retention_sweeps.disposes_of_anything(session)


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except MunimentError as error:
        raise application_error(error, activity.info().attempt) from error
