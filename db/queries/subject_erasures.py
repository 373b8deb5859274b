"""The erasures that a person's request orders: file by file, each once, and how they end."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.audit import Act, record
from db.erasures import order
from db.ingestions import Origin
from db.models import Erasure, File, SubjectRequest, SubjectRequestItem
from db.queries.members import lock_descendants
from db.queries.preservation import standing_preservations
from db.queries.preservation_kinds import GuardedAct, Preservation, PreservationKind
from db.queries.subject_search import UNTOLD
from muniment.contracts.subject_requests import ItemState, MatchSource


async def order_erasure(session: AsyncSession, asked: SubjectRequest, file_id: UUID) -> None:
    """The file with all that came out of it: restricted at once where something keeps it, and erased when
    that has ended. A compliance lock refuses, and nothing changes. What somebody else ordered is followed.
    Idempotent: the item is no longer `found` afterwards."""
    file = await session.get_one(File, file_id, with_for_update=True)
    item = await _item(session, asked.id, file_id)
    if item is None or item.state != ItemState.FOUND:
        return
    wanted = [file, *await lock_descendants(session, file_id, "manage")]
    kept = await standing_preservations(session, [each.id for each in wanted], GuardedAct.DELETION)
    locks = [each for found in kept.values() for each in found if _is_compliance(each)]
    if locks and file.state not in UNTOLD:
        _refuse(session, asked, item, locks)
        return
    for each in wanted:
        await _follow_or_order(session, asked, each, is_kept=each.id in kept)


def _is_compliance(preservation: Preservation) -> bool:
    return preservation.kind is PreservationKind.COMPLIANCE_LOCK


def _refuse(
    session: AsyncSession,
    asked: SubjectRequest,
    item: SubjectRequestItem,
    locks: Sequence[Preservation],
) -> None:
    ends = [each.until for each in locks]
    item.state = ItemState.REFUSED.value
    item.refused_until = None if None in ends else max(end for end in ends if end is not None)
    record(
        session,
        _act(asked, "file.erasure_refused", item.file_id, PreservationKind.COMPLIANCE_LOCK.value),
    )


async def _follow_or_order(
    session: AsyncSession, asked: SubjectRequest, file: File, *, is_kept: bool
) -> None:
    item = await _item(session, asked.id, file.id)
    if item is None:
        item = SubjectRequestItem(
            request_id=asked.id,
            file_id=file.id,
            tenant_id=asked.tenant_id,
            sources=[MatchSource.MEMBER.value],
            matches=0,
            state=ItemState.FOUND.value,
        )
        session.add(item)
    # Who excluded a member has it kept, though what it came out of goes.
    if item.state != ItemState.FOUND:
        return
    if file.state in UNTOLD:
        erasure = await _newest_erasure(session, file.id)
    else:
        erasure = await _order(session, asked, file, is_kept=is_kept)
    item.erasure_id = None if erasure is None else erasure.id
    item.state = (ItemState.GONE if erasure is None else ItemState.ORDERED).value
    await session.flush()


async def _order(
    session: AsyncSession, asked: SubjectRequest, file: File, *, is_kept: bool
) -> Erasure:
    origin = Origin(asked.tenant_id, asked.requested_by)
    job, erasure = order(session, origin, file, is_kept=is_kept)
    await session.flush()
    record(session, _act(asked, "file.erasure_requested", file.id, erasure.state, job.id))
    return erasure


def _act(
    asked: SubjectRequest, action: str, file_id: UUID, state: str, job_id: UUID | None = None
) -> Act:
    job = {} if job_id is None else {"job_id": str(job_id)}
    return Act(
        action=action,
        object_type="file",
        object_id=file_id,
        tenant_id=asked.tenant_id,
        actor_id=asked.requested_by,
        payload={**job, "state": state, "subject_request_id": str(asked.id)},
    )


async def _item(
    session: AsyncSession, request_id: UUID, file_id: UUID
) -> SubjectRequestItem | None:
    return await session.get(SubjectRequestItem, (request_id, file_id), with_for_update=True)


async def _newest_erasure(session: AsyncSession, file_id: UUID) -> Erasure | None:
    statement = (
        select(Erasure)
        .where(col(Erasure.file_id) == file_id)
        .order_by(col(Erasure.id).desc())
        .limit(1)
    )
    return (await session.scalars(statement)).one_or_none()


async def settle(session: AsyncSession, request_id: UUID) -> None:
    """What was ordered and is done is `erased`."""
    await session.execute(
        text(
            "UPDATE subject_request_item item SET state = 'erased' FROM erasure"
            " WHERE erasure.id = item.erasure_id AND erasure.state = 'completed'"
            " AND item.request_id = :id AND item.state = 'ordered'"
        ),
        {"id": request_id},
    )


async def open_states(session: AsyncSession, request_id: UUID) -> set[str]:
    """In which states the erasures are that have not ended."""
    rows = await session.scalars(
        text(
            "SELECT DISTINCT erasure.state FROM subject_request_item item"
            " JOIN erasure ON erasure.id = item.erasure_id"
            " WHERE item.request_id = :id AND item.state = 'ordered'"
        ),
        {"id": request_id},
    )
    return {*rows}


async def certified(
    session: AsyncSession, request_id: UUID
) -> Sequence[tuple[UUID, UUID, datetime | None]]:
    """File, erasure and its end, by the ids of the files, of all that was erased."""
    rows = await session.execute(
        select(
            col(SubjectRequestItem.file_id),
            col(Erasure.id),
            col(Erasure.finished_at),
        )
        .join(Erasure, col(Erasure.id) == col(SubjectRequestItem.erasure_id))
        .where(
            col(SubjectRequestItem.request_id) == request_id,
            col(SubjectRequestItem.state) == ItemState.ERASED,
        )
        .order_by(col(SubjectRequestItem.file_id))
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def certificates_digest(session: AsyncSession, request_id: UUID) -> bytes:
    """SHA-256 over a line `file erasure` for each file that was erased, by the ids of the files."""
    digest = hashlib.sha256()
    for file_id, erasure_id, _ in await certified(session, request_id):
        digest.update(f"{file_id} {erasure_id}\n".encode())
    return digest.digest()
