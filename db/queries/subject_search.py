"""What is read of a tenant's files to find a person in them, page by page, and what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import ChunkRow, File, FileVersion, FindingRow, SubjectRequest, SubjectRequestItem
from db.queries.files import TO_BE_ERASED
from muniment.contracts.jobs import FileState

UNTOLD = (*TO_BE_ERASED, FileState.ERASED)
"""States of files of which nothing is told any more."""


@dataclass(frozen=True)
class SearchedFile:
    """`words`: what people and the document itself say of it beside its text."""

    id: UUID
    created_at: datetime
    words: tuple[JsonValue, ...]
    version_ids: tuple[UUID, ...]


@dataclass(frozen=True)
class SearchedPassage:
    """As its row has it: sealed where the collection has it so."""

    version_id: UUID
    ordinal: int
    text: str
    headings: tuple[str, ...]
    sealed_text: bytes | None
    text_key_id: UUID | None


@dataclass(frozen=True)
class FoundFile:
    file_id: UUID
    sources: tuple[str, ...]
    matches: int


async def next_files(
    session: AsyncSession, after: tuple[datetime, UUID] | None, limit: int
) -> list[SearchedFile]:
    """Of the whole tenant, the oldest first, behind `after` (time, id). Those that are to be erased
    already are left out."""
    statement = (
        select(File)
        .where(col(File.state).not_in(UNTOLD))
        .order_by(col(File.created_at), col(File.id))
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(col(File.created_at), col(File.id)) > after)
    files = (await session.scalars(statement)).all()
    versions: dict[UUID, list[tuple[UUID, str]]] = {file.id: [] for file in files}
    rows = await session.execute(
        select(col(FileVersion.file_id), col(FileVersion.id), col(FileVersion.name)).where(
            col(FileVersion.file_id).in_(versions)
        )
    )
    for file_id, version_id, name in rows:
        versions[file_id].append((version_id, name))
    return [
        SearchedFile(
            file.id,
            file.created_at,
            (
                file.name,
                [*file.labels],
                file.attributes,
                file.extracted,
                [name for _, name in versions[file.id]],
            ),
            tuple(version_id for version_id, _ in versions[file.id]),
        )
        for file in files
    ]


async def masked_entities(session: AsyncSession, version_ids: Sequence[UUID]) -> list[str]:
    """Types of the findings in these versions for which tokens stand."""
    rows = await session.scalars(
        select(col(FindingRow.entity))
        .where(col(FindingRow.version_id).in_(version_ids), col(FindingRow.token).is_not(None))
        .distinct()
    )
    return [*rows]


async def count_tokens(
    session: AsyncSession, version_ids: Sequence[UUID], tokens: Sequence[str]
) -> Mapping[UUID, int]:
    """By version, findings for which one of the tokens stands."""
    rows = await session.execute(
        select(col(FindingRow.version_id), func.count())
        .where(col(FindingRow.version_id).in_(version_ids), col(FindingRow.token).in_(tokens))
        .group_by(col(FindingRow.version_id))
    )
    return {row[0]: row[1] for row in rows}


async def next_passages(
    session: AsyncSession,
    version_ids: Sequence[UUID],
    after: tuple[UUID, int] | None,
    limit: int,
) -> list[SearchedPassage]:
    """Of these versions, in their order, behind `after` (version, ordinal)."""
    statement = (
        select(
            col(ChunkRow.version_id),
            col(ChunkRow.ordinal),
            col(ChunkRow.text),
            col(ChunkRow.headings),
            col(ChunkRow.sealed_text),
            col(ChunkRow.text_key_id),
        )
        .where(col(ChunkRow.version_id).in_(version_ids))
        .order_by(col(ChunkRow.version_id), col(ChunkRow.ordinal))
        .limit(limit)
    )
    if after is not None:
        order = tuple_(col(ChunkRow.version_id), col(ChunkRow.ordinal))
        statement = statement.where(order > after)
    return [
        SearchedPassage(row[0], row[1], row[2], tuple(row[3]), row[4], row[5])
        for row in await session.execute(statement)
    ]


async def keep_found(
    session: AsyncSession,
    found: SubjectRequest,
    files: Sequence[FoundFile],
    reached: tuple[datetime, UUID],
    looked_at: int,
) -> None:
    """With the place that was come to. The request's row is locked."""
    session.add_all(
        SubjectRequestItem(
            request_id=found.id,
            file_id=each.file_id,
            tenant_id=found.tenant_id,
            sources=[*each.sources],
            matches=each.matches,
            state="found",
        )
        for each in files
    )
    found.after_at, found.after_id = reached
    found.looked_at += looked_at
    await session.flush()


async def count_found(session: AsyncSession, request_id: UUID) -> int:
    rows = await session.execute(
        text("SELECT count(*) FROM subject_request_item WHERE request_id = :id"),
        {"id": request_id},
    )
    return int(rows.scalar_one())
