"""The records of erasures: which wait, which are past the point of no return, and who may see them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Erasure
from db.queries.files import has_level
from muniment.contracts.erase_file import EraseFileInput
from muniment.erasure_certificates import ACTION


async def restrict(session: AsyncSession, request: EraseFileInput) -> bool:
    """The erasure waits, and the file is out of sight and search until it goes on. Whether it was not so
    already, or its job not yet."""
    await session.execute(
        text(
            "UPDATE file SET state = 'restricted', revision = revision + 1, updated_at = now()"
            " WHERE id = :file_id AND state NOT IN ('restricted', 'erased')"
        ),
        {"file_id": request.file_id},
    )
    await session.execute(
        text("UPDATE erasure SET state = 'held' WHERE job_id = :job_id AND state = 'executing'"),
        {"job_id": request.job_id},
    )
    waits = await session.execute(
        text("SELECT state = 'waiting' FROM job WHERE id = :job_id"), {"job_id": request.job_id}
    )
    return not waits.scalar_one()


async def list_erasures(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Erasure]:
    """Of files that the caller may read, newest first, behind `after` (time, id)."""
    order = tuple_(col(Erasure.created_at), col(Erasure.id))
    statement = (
        select(Erasure)
        .where(has_level(col(Erasure.file_id), "read"))
        .order_by(col(Erasure.created_at).desc(), col(Erasure.id).desc())
    )
    if after is not None:
        statement = statement.where(order < after)
    return (await session.scalars(statement.limit(limit))).all()


async def get_erasure(session: AsyncSession, erasure_id: UUID) -> Erasure | None:
    """None also where the caller may not read the file."""
    statement = select(Erasure).where(
        col(Erasure.id) == erasure_id, has_level(col(Erasure.file_id), "read")
    )
    return (await session.scalars(statement)).one_or_none()


async def certified_event(session: AsyncSession, erasure: Erasure) -> UUID | None:
    """The audit event that says what became of it; None while nothing has."""
    found = await session.execute(
        text(
            "SELECT id FROM audit_event WHERE tenant_id = :tenant_id AND object_id = :file_id"
            " AND action = :action AND coalesce(payload ->> 'erasure_id', :erasure_id) = :erasure_id"
            " ORDER BY id DESC LIMIT 1"
        ),
        {
            "tenant_id": erasure.tenant_id,
            "file_id": erasure.file_id,
            "action": ACTION,
            "erasure_id": str(erasure.id),
        },
    )
    return found.scalar_one_or_none()


async def begin_destroying(session: AsyncSession, request: EraseFileInput) -> None:
    """Nothing stops the erasure from here on. Nothing changes where it was so before."""
    await session.execute(
        text(
            "UPDATE erasure SET state = 'destroying' WHERE job_id = :job_id AND state = 'executing'"
        ),
        {"job_id": request.job_id},
    )


async def is_past_return(session: AsyncSession, file_id: UUID) -> bool:
    """Whether an erasure of the file has begun to destroy what cannot be made again."""
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT FROM erasure WHERE file_id = :file_id"
            " AND state IN ('destroying', 'completed'))"
        ),
        {"file_id": file_id},
    )
    return bool(found.scalar_one())


async def contents_to_tag(session: AsyncSession, request: EraseFileInput) -> list[bytes]:
    """SHA-256 of the contents of all versions; nothing where they were blanked or are noted already."""
    rows = await session.execute(
        text(
            "SELECT DISTINCT sha256 FROM file_version WHERE file_id = :file_id AND length(sha256) = 32"
            " AND NOT EXISTS (SELECT 1 FROM erasure WHERE job_id = :job_id"
            " AND content_tags IS NOT NULL)"
        ),
        {"file_id": request.file_id, "job_id": request.job_id},
    )
    return list(rows.scalars())


async def note_contents(
    session: AsyncSession, request: EraseFileInput, tags: Sequence[bytes]
) -> None:
    """Keyed hashes of the contents, which are about to be forgotten."""
    await session.execute(
        text(
            "UPDATE erasure SET content_tags = :tags WHERE job_id = :job_id AND content_tags IS NULL"
        ),
        {"tags": sorted(tags), "job_id": request.job_id},
    )
