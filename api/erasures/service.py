"""Erasures that are asked for by law, and what became of them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.service import order_erasures, require_file
from db.models import Erasure, Job
from db.queries import erasure_records, members
from db.queries.preservation import standing_preservations
from muniment.contracts.jobs import FileState
from muniment.errors import Conflict, Gone, NotFound


async def order(session: AsyncSession, caller: Caller, file_id: UUID) -> list[tuple[Job, Erasure]]:
    """The file's first. Raises Gone, and Conflict where it was ordered before."""
    detail = await require_file(session, file_id, "manage", for_update=True)
    if detail.file.state == FileState.ERASED:
        raise Gone("the file was erased")
    if detail.file.state in (FileState.RESTRICTED, FileState.ERASING):
        raise Conflict("the file is to be erased already")
    wanted = [detail.file, *await members.lock_descendants(session, file_id, "manage")]
    kept = await standing_preservations(session, [each.id for each in wanted])
    return await order_erasures(session, caller, wanted, kept)


async def list_erasures(
    session: AsyncSession, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Erasure]:
    return await erasure_records.list_erasures(session, limit=limit, after=after)


async def require_erasure(session: AsyncSession, erasure_id: UUID) -> Erasure:
    found = await erasure_records.get_erasure(session, erasure_id)
    if found is None:
        raise NotFound("there is no such erasure")
    return found
