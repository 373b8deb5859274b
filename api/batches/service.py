"""Batches: making, starting, showing, telling."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.service import RPCError

from api.authentication import Caller, lacks
from api.batches.schemas import (
    Batch,
    BatchCountsView,
    BatchSource,
    LeftOutObject,
    NewBatch,
    SourcePrefix,
)
from api.jobs.commanding import tell_workflow
from api.jobs.view import WorkflowLinks
from api.services import Services
from db.audit import record
from db.models import Batch as BatchRecord
from db.models import Tenant, new_id
from db.queries import batches, imports, jobs
from db.queries.batches import BatchCounts
from db.queries.collections import find_collection
from db.session import Access
from muniment.contracts.ingest_batch import BatchState, IngestBatchInput, workflow_id
from muniment.errors import (
    Conflict,
    MunimentError,
    NotFound,
    OrchestratorUnavailable,
    Unprocessable,
)
from muniment.telemetry import context
from workflows.starting import start_batch

logger = logging.getLogger(__name__)
SHOWN_LEFT_OUT = 100


async def create(
    services: Services, session: AsyncSession, caller: Caller, body: NewBatch
) -> BatchRecord:
    """Raises Unprocessable naming the first place in the list that is no file of the caller's, or
    the source or collection that the caller may not use; TooManyRequests where the tenant has more jobs
    or batches open than may be begun."""
    await jobs.require_place(session, services.max_open_jobs)
    await batches.require_place(session, services.max_open_batches)
    if body.source is not None:
        return await _create_import(services, session, caller, body.source, body.priority)
    named = body.files or []
    wanted = list(dict.fromkeys(named))
    writable = await batches.writable_files(session, wanted)
    for place, file_id in enumerate(named):
        if file_id not in writable:
            raise _wrong(f"files.{place}", "there is no such file, or you may not write it")
    batch = _new_batch(caller, body.priority, total=len(wanted))
    session.add(batch)
    await session.flush()
    await batches.add_items(session, batch, wanted)
    record(session, caller.act("batch.created", "batch", batch.id, {"files": len(wanted)}))
    return batch


async def _create_import(
    services: Services, session: AsyncSession, caller: Caller, place: SourcePrefix, priority: int
) -> BatchRecord:
    """It makes files, so that the key needs the scope of uploads, too."""
    if "files:write" not in caller.scopes:
        raise lacks("files:write", caller)
    tenant = await session.get(Tenant, caller.tenant_id)
    source = services.import_sources.get(place.name)
    if source is None or tenant is None or not source.allows(tenant.name):
        raise _wrong("source.name", "there is no such source, or your tenant may not use it")
    collection = await find_collection(session, place.collection, level="write")
    if collection is None:
        detail = "there is no such collection, or you may not put files into it"
        raise _wrong("source.collection", detail)
    batch = _new_batch(caller, priority, total=0)
    batch.source, batch.prefix, batch.collection_id = place.name, place.prefix, collection.id
    session.add(batch)
    await session.flush()
    record(session, caller.act("batch.created", "batch", batch.id, {"source": place.name}))
    return batch


def _new_batch(caller: Caller, priority: int, *, total: int) -> BatchRecord:
    batch_id = new_id()
    return BatchRecord(
        id=batch_id,
        tenant_id=caller.tenant_id,
        workflow_id=workflow_id(batch_id),
        state=BatchState.QUEUED,
        priority=priority,
        total=total,
        requested_by=caller.principal_id,
        request_id=context.request_id(),
    )


def _wrong(field: str, detail: str) -> Unprocessable:
    return Unprocessable(detail, errors=[{"field": field, "detail": detail}])


async def start(services: Services, batch: BatchRecord) -> bool:
    """Whether Temporal has the batch now. Never raises: the batch is committed, and what is not
    started here the reconciler starts."""
    request = IngestBatchInput(
        tenant_id=batch.tenant_id,
        batch_id=batch.id,
        priority=batch.priority,
        imports=batch.source is not None,
    )
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            run_id = await start_batch(services.temporal.client, batch.workflow_id, request)
            async with services.database.transaction(Access(batch.tenant_id)) as session:
                await batches.mark_batch_started(session, batch.id, run_id)
    except (RPCError, TimeoutError, MunimentError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        ids = {"batch_id": str(batch.id), "reason": type(error).__name__}
        logger.warning("a batch waits for the reconciler", extra=ids)
        return False
    return True


async def tell(services: Services, caller: Caller, batch_id: UUID, update: str) -> Batch:
    """Sends the update and answers with the batch as it then is. A batch that was committed but never
    started is started first. Conflict when it is over."""
    async with services.database.transaction(caller.access) as session:
        batch = await require(session, batch_id)
    if BatchState(batch.state).is_terminal:
        raise Conflict(f"the batch is {batch.state} already")
    async with services.database.transaction(caller.access) as session:
        record(session, caller.act(f"batch.{update}", "batch", batch_id))
    if batch.started_at is None and not await start(services, batch):
        raise OrchestratorUnavailable("Temporal does not take the batch now")
    await tell_workflow(services, batch.workflow_id, update)
    async with services.database.transaction(caller.access) as session:
        return (await views(session, services.links, [await require(session, batch_id)]))[0]


async def require(session: AsyncSession, batch_id: UUID) -> BatchRecord:
    batch = await batches.get_batch(session, batch_id)
    if batch is None:
        raise NotFound("there is no such batch")
    return batch


async def show(session: AsyncSession, links: WorkflowLinks, batch_id: UUID) -> Batch:
    """With the names of what was left out. Raises NotFound."""
    view = (await views(session, links, [await require(session, batch_id)]))[0]
    if view.source is not None:
        view.source.left_out = [
            LeftOutObject(name=each.name, problem=each.problem)
            for each in await imports.left_out(session, batch_id, SHOWN_LEFT_OUT)
        ]
    return view


async def views(
    session: AsyncSession, links: WorkflowLinks, records: Sequence[BatchRecord]
) -> list[Batch]:
    counts = await batches.counts_of(session, [batch.id for batch in records])
    importing = [batch.id for batch in records if batch.source is not None]
    problems = await imports.problems_of(session, importing) if importing else {}
    return [
        _view(links, batch, counts.get(batch.id, BatchCounts()), problems.get(batch.id, {}))
        for batch in records
    ]


def _view(
    links: WorkflowLinks, batch: BatchRecord, counts: BatchCounts, problems: dict[str, int]
) -> Batch:
    return Batch(
        id=batch.id,
        state=BatchState(batch.state),
        priority=batch.priority,
        workflow_id=batch.workflow_id,
        temporal_url=links.to(batch.workflow_id, batch.run_id),
        files=BatchCountsView(total=batch.total, **asdict(counts)),
        source=_source(batch, problems),
        percent=_percent(batch, counts),
        created_at=batch.created_at,
        started_at=batch.started_at,
        finished_at=batch.finished_at,
    )


def _source(batch: BatchRecord, problems: dict[str, int]) -> BatchSource | None:
    if batch.source is None:
        return None
    return BatchSource(
        name=batch.source,
        prefix=batch.prefix,
        collection_id=batch.collection_id,
        listed=batch.listed_at is not None,
        truncated=batch.truncated,
        problem=batch.problem,
        problems=problems,
    )


def _percent(batch: BatchRecord, counts: BatchCounts) -> float:
    """Nothing is done of what is not known; of an empty source, everything."""
    if batch.total == 0:
        return 100.0 if batch.finished_at is not None else 0.0
    over = counts.done + counts.failed + counts.cancelled + counts.gone
    return round(100 * min(over / batch.total, 1.0), 1)
