"""Proofs over a tenant's sealed trail."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.audit.schemas import AuditCheckpoint, AuditEvent, AuditProof, SealedTrail
from api.authentication import Caller
from db.audit import record
from db.models import AuditCheckpoint as CheckpointRow
from db.models import AuditEvent as EventRow
from db.queries import audit_checkpoints, audit_tree
from muniment.audit.exported import AnyLine, ExportedCheckpoint, ExportedEvent, UnplacedEvent
from muniment.errors import AuditTampered, Conflict, Forbidden, InvalidRequest, NotFound


async def with_places(session: AsyncSession, rows: Sequence[EventRow]) -> list[AuditEvent]:
    """Events as clients see them."""
    seqs = await audit_checkpoints.seqs_of(session, [row.id for row in rows])
    return [
        AuditEvent.model_validate({**row.model_dump(), "seq": seqs.get(row.id)}) for row in rows
    ]


async def show_checkpoint(
    session: AsyncSession, size: int | None, since: int | None
) -> AuditCheckpoint:
    """The newest one, or that over so many events. Raises NotFound where there is none, InvalidRequest for a
    `since` beyond it."""
    found = await _checkpoint(session, size)
    if since is None:
        return _shown(found)
    if since > found.size:
        raise InvalidRequest(
            "the checkpoint is over fewer events than `since`",
            remedy="Ask without `size`; if the newest has fewer as well, the trail was cut short.",
        )
    hashes = await audit_checkpoints.consistency_proof(session, since, found.size)
    return _shown(found).model_copy(update={"consistency": hashes})


async def prove(session: AsyncSession, seq: int, size: int | None) -> AuditProof:
    """That the event stands in the trail. Raises NotFound where it does not, AuditTampered where it was
    sealed and is not there."""
    checkpoint = await _checkpoint(session, size)
    event = await sealed_event(session, seq, checkpoint.size)
    leaf = event.leaf()
    if leaf is None:
        raise AuditTampered("the event was sealed, and is not there any more")
    return AuditProof(
        seq=seq,
        leaf=leaf.canonical().decode(),
        leaf_hash=event.leaf_hash,
        hashes=await audit_checkpoints.inclusion_proof(session, seq, checkpoint.size),
        checkpoint=_shown(checkpoint),
    )


async def sealed_event(session: AsyncSession, seq: int, size: int) -> ExportedEvent:
    """The event at that place of a trail of so many. Raises as `prove` does."""
    rows = await audit_checkpoints.sealed_events(session, seq, size, 1)
    if seq >= size:
        raise NotFound("the checkpoint covers no event of this number")
    if not rows or rows[0]["seq"] != seq:
        raise AuditTampered("a leaf was sealed, and is not there any more")
    return ExportedEvent.model_validate(dict(rows[0]))


async def export(
    session: AsyncSession, caller: Caller, first: int, until: int | None, limit: int
) -> SealedTrail:
    """A part of the trail up to a checkpoint, with the checkpoints over it. That somebody had it is
    recorded."""
    checkpoint = await _checkpoint(session, until)
    rows = await audit_checkpoints.sealed_events(session, first, checkpoint.size, limit)
    behind = rows[-1]["seq"] + 1 if rows else first
    is_last = len(rows) < limit
    checkpoints = list(await audit_checkpoints.checkpoints_between(session, first, behind))
    if is_last and behind < checkpoint.size:
        # Its last leaves are gone: the checkpoint says so to whoever verifies.
        checkpoints.append(checkpoint)
    lines: list[AnyLine] = []
    if first <= checkpoint.size:
        lines += await _unplaced(session, first, None if is_last else behind)
    for row in rows:
        while checkpoints and checkpoints[0].size <= row["seq"]:
            lines.append(ExportedCheckpoint(note=checkpoints.pop(0).note))
        lines.append(ExportedEvent.model_validate(dict(row)))
    lines += [ExportedCheckpoint(note=each.note) for each in checkpoints]
    payload = {"first": first, "events": len(rows)}
    record(session, caller.act("audit.exported", "tenant", caller.tenant_id, payload))
    return SealedTrail(data=lines, next=None if is_last else behind)


async def _unplaced(session: AsyncSession, first: int, behind: int | None) -> list[AnyLine]:
    """Events without a place, of that range; in the last one also those that were taken away before they
    had theirs."""
    unplaced = await audit_checkpoints.unplaced_events(session, first, behind)
    removed = await audit_tree.removed_unsealed(session) if behind is None else ()
    return [
        *(UnplacedEvent(id=each) for each in unplaced),
        *(UnplacedEvent(id=each, is_removed=True) for each in removed),
    ]


async def erase_details(session: AsyncSession, caller: Caller, event_id: UUID) -> None:
    """Erases what an event says beyond its leaf; of one that was erased before nothing is left to do. Raises
    NotFound, Forbidden for whoever is no administrator, Conflict for one that is yet to be sealed."""
    if not await audit_checkpoints.has_event(session, event_id):
        raise NotFound("there is no such event")
    if not caller.is_admin:
        raise Forbidden("only administrators erase details of the audit trail")
    if not await audit_checkpoints.seqs_of(session, [event_id]):
        raise Conflict(
            "the event is yet to be sealed, and its details with it", remedy="Ask in some seconds."
        )
    if await audit_checkpoints.erase_details(session, [event_id]):
        record(session, caller.act("audit.details_erased", "audit_event", event_id))


async def _checkpoint(session: AsyncSession, size: int | None) -> CheckpointRow:
    if size is None:
        found = await audit_tree.newest_checkpoint(session)
    else:
        found = await audit_checkpoints.checkpoint_at(session, size)
    if found is None:
        raise NotFound(
            "there is no such checkpoint",
            remedy="The first one is signed some seconds after the first event.",
        )
    return found


def _shown(row: CheckpointRow) -> AuditCheckpoint:
    return AuditCheckpoint.model_validate(row.model_dump(exclude={"tenant_id", "copied_at"}))
