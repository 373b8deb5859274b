"""How a job changes its file's state. The trash and an erasure win over whatever a job does."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from muniment.contracts.jobs import FileState

WITHHELD = (FileState.QUARANTINED, FileState.REJECTED)
"""What is withheld stays so whatever becomes of its jobs (cancelled, failed, tried again), until a
person releases it or a scan finds it harmless."""
IN_PROGRESS = (FileState.RECEIVED, FileState.PROCESSING)
STARTABLE = (*IN_PROGRESS, FileState.FAILED, FileState.CANCELLED)
NOT_READY = (*STARTABLE, *WITHHELD)
"""A ready file stays ready while another job reads it anew, and when that job fails."""


async def mark_degraded(session: AsyncSession, file_id: UUID) -> None:
    """Something of the file is missing after all."""
    await session.execute(
        text(
            "UPDATE file SET degraded = true, revision = revision + 1, updated_at = now()"
            " WHERE id = :file_id AND NOT degraded"
        ),
        {"file_id": file_id},
    )


async def settle_file(
    session: AsyncSession, file_id: UUID, state: FileState, *, among: tuple[FileState, ...]
) -> bool:
    """Gives the file the state, if its own is among those; a trashed one remembers it instead. Whether
    it had another one before."""
    settled = await session.execute(
        text(
            """
            UPDATE file SET
                state = CASE WHEN state = 'trashed' THEN state ELSE :state END,
                trashed_from = CASE WHEN state = 'trashed' THEN :state ELSE trashed_from END,
                revision = revision + 1, updated_at = now()
            WHERE id = :file_id
              AND CASE WHEN state = 'trashed' THEN trashed_from ELSE state END = ANY(:among)
              AND CASE WHEN state = 'trashed' THEN trashed_from ELSE state END <> :state
            RETURNING id
            """
        ),
        {"file_id": file_id, "state": state.value, "among": [each.value for each in among]},
    )
    return settled.first() is not None
