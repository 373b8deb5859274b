"""Writes what the `publish` stage writes: file, version, chunks, postings, vectors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import (
    Blob,
    ChunkRow,
    Collection,
    EmbeddingRow,
    File,
    FileVersion,
    IndexVersion,
    new_id,
)
from db.models.columns import now
from db.queries.postings import index_words
from db.session import Access, Database
from retrieval.vector import QueryEmbedder


@dataclass(frozen=True)
class Passage:
    text: str
    headings: tuple[str, ...] = ()
    pages: tuple[int, ...] = (1,)
    boxes: tuple[JsonValue, ...] = ()

    @property
    def indexed(self) -> str:
        return " ".join((*self.headings, self.text))


@dataclass(frozen=True)
class Published:
    file_id: UUID
    version_id: UUID
    chunk_ids: tuple[UUID, ...]


async def publish_file(
    database: Database,
    access: Access,
    collection_id: UUID,
    passages: Sequence[Passage | str],
    *,
    embedder: QueryEmbedder | None = None,
    name: str = "document.txt",
    owner_id: UUID | None = None,
    state: str = "ready",
    media_type: str = "text/plain",
    metadata: dict[str, JsonValue] | None = None,
    labels: Sequence[str] = (),
    created_at: datetime | None = None,
) -> Published:
    """A file with one version, its passages searchable as soon as this returns."""
    file_id = new_id()
    async with database.transaction(Access(access.tenant_id)) as session:
        session.add(
            File(
                id=file_id,
                tenant_id=access.tenant_id,
                collection_id=collection_id,
                owner_id=owner_id,
                name=name,
                state=state,
                current_version=1,
                media_type=media_type,
                attributes=metadata or {},
                labels=list(labels),
                created_at=created_at or now(),
            )
        )
        await session.flush()
        version_id, chunk_ids = await _version(session, access, file_id, 1, passages, embedder)
    return Published(file_id, version_id, chunk_ids)


async def publish_version(
    database: Database,
    access: Access,
    file_id: UUID,
    number: int,
    passages: Sequence[Passage | str],
    *,
    embedder: QueryEmbedder | None = None,
) -> Published:
    """A further version, which readers see from now on; the older one's chunks stay."""
    async with database.transaction(Access(access.tenant_id)) as session:
        version_id, chunk_ids = await _version(session, access, file_id, number, passages, embedder)
        await session.execute(
            update(File).where(col(File.id) == file_id).values(current_version=number)
        )
    return Published(file_id, version_id, chunk_ids)


async def private_collection(database: Database, access: Access) -> UUID:
    """A collection of its owner alone."""
    collection_id = new_id()
    async with database.transaction(Access(access.tenant_id)) as session:
        session.add(
            Collection(
                id=collection_id,
                tenant_id=access.tenant_id,
                name="private",
                visibility="private",
                owner_id=access.principal_id,
            )
        )
    return collection_id


async def set_state(database: Database, access: Access, file_id: UUID, state: str) -> None:
    async with database.transaction(Access(access.tenant_id)) as session:
        await session.execute(update(File).where(col(File.id) == file_id).values(state=state))


async def _version(
    session: AsyncSession,
    access: Access,
    file_id: UUID,
    number: int,
    given: Sequence[Passage | str],
    embedder: QueryEmbedder | None,
) -> tuple[UUID, tuple[UUID, ...]]:
    passages = [Passage(each) if isinstance(each, str) else each for each in given]
    tenant_id, blob_id, version_id = access.tenant_id, new_id(), new_id()
    digest = hashlib.sha256("".join(each.text for each in passages).encode()).digest()
    session.add(Blob(id=blob_id, tenant_id=tenant_id, kind="content", size=1, sha256=digest))
    await session.flush()
    session.add(
        FileVersion(
            id=version_id,
            tenant_id=tenant_id,
            file_id=file_id,
            number=number,
            blob_id=blob_id,
            name="document.txt",
            size=1,
            sha256=digest,
            declared_media_type="text/plain",
            published_at=now(),
        )
    )
    await session.flush()
    chunk_ids = tuple(new_id() for _ in passages)
    for ordinal, (chunk_id, passage) in enumerate(zip(chunk_ids, passages, strict=True)):
        session.add(
            ChunkRow(
                id=chunk_id,
                tenant_id=tenant_id,
                file_id=file_id,
                version_id=version_id,
                ordinal=ordinal,
                text=passage.text,
                text_hash=hashlib.sha256(passage.text.encode()).digest(),
                token_count=len(passage.text.split()),
                headings=list(passage.headings),
                pages=list(passage.pages),
                boxes=list(passage.boxes),
            )
        )
    await session.flush()
    await index_words(session, version_id)
    if embedder is not None:
        await _vectors(session, tenant_id, chunk_ids, passages, embedder)
    return version_id, chunk_ids


async def _vectors(
    session: AsyncSession,
    tenant_id: UUID,
    chunk_ids: Sequence[UUID],
    passages: Sequence[Passage],
    embedder: QueryEmbedder,
) -> None:
    index_id = await session.scalar(text("SELECT id FROM index_version WHERE state = 'active'"))
    if index_id is None:
        index_id = new_id()
        session.add(
            IndexVersion(
                id=index_id,
                tenant_id=tenant_id,
                model_id=embedder.model_id,
                model_version=embedder.version,
                dimensions=384,
                state="active",
                activated_at=now(),
            )
        )
        await session.flush()
    vectors = embedder.embed([each.indexed for each in passages])
    session.add_all(
        EmbeddingRow(
            chunk_id=chunk_id,
            index_version_id=index_id,
            tenant_id=tenant_id,
            vector=[float(value) for value in vector],
        )
        for chunk_id, vector in zip(chunk_ids, vectors, strict=True)
    )
