"""Batches: making, starting, showing, telling."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.service import RPCError

from api.authentication import Caller
from api.batches.schemas import Batch, BatchCountsView, NewBatch
from api.jobs.commanding import tell_workflow
from api.jobs.view import WorkflowLinks
from api.services import Services
from db.audit import record
from db.models import Batch as BatchRecord
from db.models import new_id
from db.queries import batches
from db.queries.batches import BatchCounts
from db.session import Access
from muniment.contracts.ingest_batch import BatchState, IngestBatchInput, workflow_id
from muniment.errors import Conflict, MunimentError, NotFound, Unprocessable
from muniment.telemetry import context
from workflows.starting import start_batch

logger = logging.getLogger(__name__)


async def create(session: AsyncSession, caller: Caller, body: NewBatch) -> BatchRecord:
    """Raises Unprocessable naming the first place in the list that is no file of the caller's."""
    wanted = list(dict.fromkeys(body.files))
    writable = await batches.writable_files(session, wanted)
    for place, file_id in enumerate(body.files):
        if file_id not in writable:
            detail = "there is no such file, or you may not write it"
            raise Unprocessable(detail, errors=[{"field": f"files.{place}", "detail": detail}])
    batch_id = new_id()
    batch = BatchRecord(
        id=batch_id,
        tenant_id=caller.tenant_id,
        workflow_id=workflow_id(batch_id),
        state=BatchState.QUEUED,
        priority=body.priority,
        total=len(wanted),
        requested_by=caller.principal_id,
        request_id=context.request_id(),
    )
    session.add(batch)
    await session.flush()
    await batches.add_items(session, batch, wanted)
    record(session, caller.act("batch.created", "batch", batch_id, {"files": len(wanted)}))
    return batch


async def start(services: Services, batch: BatchRecord) -> None:
    """Never raises: the batch is committed, and what is not started here the reconciler starts."""
    request = IngestBatchInput(
        tenant_id=batch.tenant_id, batch_id=batch.id, priority=batch.priority
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


async def tell(services: Services, caller: Caller, batch_id: UUID, update: str) -> Batch:
    """Sends the update and answers with the batch as it then is. Conflict when it is over."""
    async with services.database.transaction(caller.access) as session:
        batch = await require(session, batch_id)
    if BatchState(batch.state).is_terminal:
        raise Conflict(f"the batch is {batch.state} already")
    async with services.database.transaction(caller.access) as session:
        record(session, caller.act(f"batch.{update}", "batch", batch_id))
    await tell_workflow(services, batch.workflow_id, update)
    async with services.database.transaction(caller.access) as session:
        return (await views(session, services.links, [await require(session, batch_id)]))[0]


async def require(session: AsyncSession, batch_id: UUID) -> BatchRecord:
    batch = await batches.get_batch(session, batch_id)
    if batch is None:
        raise NotFound("there is no such batch")
    return batch


async def views(
    session: AsyncSession, links: WorkflowLinks, records: Sequence[BatchRecord]
) -> list[Batch]:
    counts = await batches.counts_of(session, [batch.id for batch in records])
    return [_view(links, batch, counts.get(batch.id, BatchCounts())) for batch in records]


def _view(links: WorkflowLinks, batch: BatchRecord, counts: BatchCounts) -> Batch:
    over = counts.done + counts.failed + counts.cancelled + counts.gone
    return Batch(
        id=batch.id,
        state=BatchState(batch.state),
        priority=batch.priority,
        workflow_id=batch.workflow_id,
        temporal_url=links.to(batch.workflow_id, batch.run_id),
        files=BatchCountsView(total=batch.total, **asdict(counts)),
        percent=round(100 * min(over / batch.total, 1.0), 1),
        created_at=batch.created_at,
        started_at=batch.started_at,
        finished_at=batch.finished_at,
    )
