"""Swaps a version into what readers and searches see, and finds vectors that are already there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.half_vectors import HalfVectors, half_vector_oid
from db.models import new_id
from db.queries.index_versions import IndexModel
from db.queries.postings import DEFAULT_LANGUAGE, forget_words, index_words
from db.queries.stages import NewBlob, keep_blob
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import Chunk
from muniment.contracts.jobs import FileState
from muniment.contracts.text_modes import TextMode
from muniment.errors import Gone

ROWS_PER_STATEMENT = 500

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PublishTarget:
    """The file and version while the file's row is locked. `is_newest`: no later version was
    published, so that this one becomes the readers' version."""

    state: FileState
    number: int
    is_newest: bool
    text_mode: TextMode


@dataclass(frozen=True)
class NewChunk:
    """A chunk with its keyed text hash. `sealed_text` stands in for text and headings, where the
    collection has them sealed."""

    chunk: Chunk
    text_hash: bytes
    sealed_text: bytes | None = None


@dataclass(frozen=True)
class Publication:
    """What becomes known of the file beside its chunks."""

    document_blob_id: UUID
    media_type: str
    page_count: int
    degraded: bool
    extracted: dict[str, JsonValue]
    is_masked: bool = False


async def lock_target(session: AsyncSession, version: VersionReference) -> PublishTarget | None:
    """Locks the file's row; None when it is gone."""
    await session.execute(
        text("SELECT 1 FROM file WHERE id = :file_id FOR UPDATE"), {"file_id": version.file_id}
    )
    # A statement of its own: it sees what was published while the lock was waited for.
    rows = await session.execute(
        text(
            "SELECT file.state, file_version.number, NOT EXISTS ("
            " SELECT 1 FROM file_version later WHERE later.file_id = file.id"
            " AND later.number > file_version.number AND later.published_at IS NOT NULL),"
            " collection.text_mode"
            " FROM file JOIN file_version ON file_version.file_id = file.id"
            " JOIN collection ON collection.id = file.collection_id"
            " WHERE file.id = :file_id AND file_version.id = :version_id"
        ),
        {"file_id": version.file_id, "version_id": version.version_id},
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return PublishTarget(FileState(row[0]), row[1], row[2], TextMode(row[3]))


async def text_mode_of_file(session: AsyncSession, file_id: UUID) -> TextMode:
    """Of the collection that the file lies in. Raises Gone when the file is no longer there."""
    found = await session.execute(
        text(
            "SELECT collection.text_mode FROM file"
            " JOIN collection ON collection.id = file.collection_id WHERE file.id = :file_id"
        ),
        {"file_id": file_id},
    )
    mode = found.scalar_one_or_none()
    if mode is None:
        raise Gone("The file is no longer there.")
    return TextMode(mode)


async def keep_text_key(session: AsyncSession, version: VersionReference, blob: NewBlob) -> None:
    """The version's texts are sealed by this key from now on. Its former keys stay until it is erased:
    words that were annotated are sealed by them."""
    await keep_blob(session, version, blob)
    await session.execute(
        text(
            "INSERT INTO blob_reference (tenant_id, blob_id, version_id, role, created_at)"
            " VALUES (:tenant_id, :blob_id, :version_id, 'text_key', now())"
        ),
        {
            "tenant_id": version.tenant_id,
            "blob_id": blob.blob_id,
            "version_id": version.version_id,
        },
    )
    await session.execute(
        text("UPDATE file_version SET text_key_id = :blob_id WHERE id = :version_id"),
        {"blob_id": blob.blob_id, "version_id": version.version_id},
    )


async def replace_chunks(
    session: AsyncSession,
    version: VersionReference,
    chunks: Sequence[NewChunk],
    vectors: Mapping[UUID, Vectors],
    text_key_id: UUID | None = None,
    language: str = DEFAULT_LANGUAGE,
) -> None:
    """Removes every chunk of the file and puts these in, with postings and vectors: for each index version a
    row per chunk. Chunks with a sealed text, by the key `text_key_id`, have no postings.
    `language` is PostgreSQL's name of a text search configuration."""
    await delete_chunks(session, version.file_id)
    ids = [new_id() for _ in chunks]
    oid = await half_vector_oid(session)
    for part in _slices(len(chunks)):
        await _insert_chunks(session, version, ids[part], chunks[part], text_key_id)
        for index_version_id, matrix in vectors.items():
            halves = HalfVectors(matrix[part], oid)
            await _insert_vectors(session, version.tenant_id, ids[part], halves, index_version_id)
    await index_words(session, version.version_id, language)


async def delete_chunks(session: AsyncSession, file_id: UUID) -> None:
    """Every chunk of the file, with its words and vectors. Part by part, so that no statement
    of a long document comes near the statement timeout."""
    await forget_words(session, file_id)
    while (await session.execute(_DELETE_CHUNKS, {"file_id": file_id})).first() is not None:
        pass


_DELETE_CHUNKS = text(
    f"""
    WITH part AS (SELECT id FROM chunk WHERE file_id = :file_id LIMIT {ROWS_PER_STATEMENT}),
         deleted AS (DELETE FROM chunk USING part WHERE chunk.id = part.id RETURNING chunk.id)
    SELECT id FROM deleted LIMIT 1
    """  # noqa: S608 - a constant
)


_INSERT_CHUNKS = text(
    """
    INSERT INTO chunk (id, tenant_id, file_id, version_id, ordinal, text, text_hash, token_count,
                       headings, pages, boxes, sealed_text, text_key_id, created_at)
    SELECT item.id, :tenant_id, :file_id, :version_id, item.ordinal, item.text,
           decode(item.text_hash, 'hex'), item.token_count,
           item.headings, item.pages, item.boxes, decode(item.sealed_text, 'hex'),
           CAST(:text_key_id AS uuid), now()
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS item(
        id uuid, ordinal int, text text, text_hash text, token_count int, headings text[],
        pages int[], boxes jsonb, sealed_text text)
    """
)


async def _insert_chunks(
    session: AsyncSession,
    version: VersionReference,
    ids: Sequence[UUID],
    chunks: Sequence[NewChunk],
    text_key_id: UUID | None,
) -> None:
    rows = [_row(chunk_id, new) for chunk_id, new in zip(ids, chunks, strict=True)]
    await session.execute(
        _INSERT_CHUNKS,
        {
            "tenant_id": version.tenant_id,
            "file_id": version.file_id,
            "version_id": version.version_id,
            "text_key_id": text_key_id,
            "rows": json.dumps(rows),
        },
    )


def _row(chunk_id: UUID, new: NewChunk) -> dict[str, JsonValue]:
    """A sealed text's plaintext does not even travel to the database."""
    chunk, sealed = new.chunk, new.sealed_text
    row: dict[str, JsonValue] = {
        "id": str(chunk_id),
        "ordinal": chunk.ordinal,
        "text": "",
        "text_hash": new.text_hash.hex(),
        "token_count": chunk.token_count,
        "headings": [],
        "pages": [*chunk.pages],
        "boxes": [box.model_dump(mode="json") for box in chunk.boxes],
        "sealed_text": None if sealed is None else sealed.hex(),
    }
    if sealed is not None:
        return row
    # PostgreSQL's text holds every code point but this one.
    return row | {
        "text": chunk.text.replace("\0", ""),
        "headings": [heading.replace("\0", "") for heading in chunk.headings],
    }


async def _insert_vectors(
    session: AsyncSession,
    tenant_id: UUID,
    ids: Sequence[UUID],
    vectors: HalfVectors,
    index_version_id: UUID,
) -> None:
    await session.execute(
        text(
            "INSERT INTO embedding (chunk_id, index_version_id, tenant_id, vector)"
            " SELECT item.id, :index_version_id, :tenant_id, item.vector"
            " FROM unnest(CAST(:ids AS uuid[]), CAST(:vectors AS halfvec[])) AS item(id, vector)"
        ),
        {
            "index_version_id": index_version_id,
            "tenant_id": tenant_id,
            "ids": list(ids),
            "vectors": vectors,
        },
    )


async def replace_pages(session: AsyncSession, version: VersionReference) -> None:
    """The version's pages are those that the job's stage `read` put out, failed ones included."""
    await session.execute(
        text("DELETE FROM page WHERE version_id = :version_id"),
        {"version_id": version.version_id},
    )
    await session.execute(
        text(
            """
            INSERT INTO page (tenant_id, version_id, page, width, height, rotation, source,
                              engine, confidence, blob_id, position, problem)
            SELECT :tenant_id, :version_id, item.page, item.width, item.height, item.rotation,
                   item.source, item.engine, item.confidence, output.blob_id,
                   item.place - 1, NULL
            FROM stage_output output,
                 ROWS FROM (jsonb_to_recordset(output.summary -> 'pages') AS (
                     page int, width float8, height float8, rotation int, source text,
                     engine text, confidence float8)) WITH ORDINALITY
                 AS item(page, width, height, rotation, source, engine, confidence, place)
            WHERE output.job_id = :job_id AND output.stage = 'read'
            UNION ALL
            SELECT :tenant_id, :version_id, item.page, 0, 0, 0, item.source, '', NULL, NULL, 0,
                   item.problem
            FROM stage_output output, jsonb_to_recordset(output.summary -> 'failures')
                 AS item(page int, source text, problem text)
            WHERE output.job_id = :job_id AND output.stage = 'read'
            """
        ),
        {
            "tenant_id": version.tenant_id,
            "version_id": version.version_id,
            "job_id": version.job_id,
        },
    )


_ADD_LAYERS = text(
    """
    INSERT INTO page_layer (version_id, page, engine, engine_version, tenant_id, source, confidence,
                            blob_id, position, is_current, read_at)
    SELECT :version_id, item.page, item.engine,
           coalesce(output.summary -> 'readers' ->> item.source, ''), :tenant_id, item.source,
           item.confidence, output.blob_id, item.place - 1, true, blob.created_at
    FROM stage_output output JOIN blob ON blob.id = output.blob_id,
         ROWS FROM (jsonb_to_recordset(output.summary -> 'pages') AS (
             page int, source text, engine text, confidence float8)) WITH ORDINALITY
         AS item(page, source, engine, confidence, place)
    WHERE output.job_id = :job_id AND output.stage = 'read'
    ON CONFLICT (version_id, page, engine, engine_version) DO UPDATE SET
        confidence = excluded.confidence, blob_id = excluded.blob_id,
        position = excluded.position, is_current = true
    """
)


async def add_layers(session: AsyncSession, version: VersionReference) -> None:
    """What the job's stage `read` put out are the current layers of the version's pages; those of
    other engines stay."""
    await session.execute(
        text(
            "UPDATE page_layer SET is_current = false WHERE version_id = :version_id AND is_current"
        ),
        {"version_id": version.version_id},
    )
    values = version.model_dump(include={"tenant_id", "version_id", "job_id"})
    await session.execute(_ADD_LAYERS, values)


async def mark_published(
    session: AsyncSession,
    version: VersionReference,
    target: PublishTarget,
    publication: Publication,
) -> None:
    """The version is published; the newest one is what the file now shows. A trashed file stays in
    the trash and will be restored as ready."""
    await session.execute(
        text(
            "UPDATE file_version SET media_type = :media_type, page_count = :page_count,"
            " document_blob_id = :document_blob_id,"
            # A container hands out what came out of it.
            " is_masked = :is_masked OR EXISTS (SELECT FROM file member JOIN file_version"
            " ON file_version.file_id = member.id WHERE member.parent_version_id = :version_id"
            " AND file_version.is_masked),"
            " published_at = now() WHERE id = :version_id"
        ),
        {
            "version_id": version.version_id,
            "media_type": publication.media_type,
            "page_count": publication.page_count,
            "document_blob_id": publication.document_blob_id,
            "is_masked": publication.is_masked,
        },
    )
    if not target.is_newest:
        return
    await session.execute(
        text(
            """
            UPDATE file SET
                state = CASE WHEN state = 'trashed' THEN state ELSE 'ready' END,
                trashed_from = CASE WHEN state = 'trashed' THEN 'ready' ELSE trashed_from END,
                current_version = :number, media_type = :media_type, page_count = :page_count,
                degraded = :degraded, extracted = CAST(:extracted AS jsonb),
                revision = revision + 1, updated_at = now()
            WHERE id = :file_id
            """
        ),
        {
            "file_id": version.file_id,
            "number": target.number,
            "media_type": publication.media_type,
            "page_count": publication.page_count,
            "degraded": publication.degraded,
            "extracted": json.dumps(publication.extracted),
        },
    )


async def known_vectors(
    session: AsyncSession, text_hashes: Sequence[bytes], model: IndexModel
) -> dict[bytes, Vectors]:
    """Vectors that the model already made for texts with these hashes, within the tenant."""
    rows = await session.execute(
        text(
            """
            -- One of each: a text that stands ten thousand times in a file has as many vectors.
            SELECT wanted.text_hash, known.vector::text
            FROM unnest(CAST(:hashes AS bytea[])) AS wanted(text_hash)
            CROSS JOIN LATERAL (
                SELECT embedding.vector FROM chunk
                JOIN embedding ON embedding.chunk_id = chunk.id
                JOIN index_version ON index_version.id = embedding.index_version_id
                WHERE chunk.tenant_id = (SELECT current_tenant())
                  AND chunk.text_hash = wanted.text_hash
                  AND index_version.model_id = :model_id
                  AND index_version.model_version = :model_version
                LIMIT 1
            ) AS known
            """
        ),
        {
            "hashes": sorted(set(text_hashes)),
            "model_id": model.model_id,
            "model_version": model.model_version,
        },
    )
    return {
        bytes(text_hash): np.array(json.loads(vector), dtype=np.float32)
        for text_hash, vector in rows
    }


def _slices(count: int) -> Iterator[slice]:
    for start in range(0, count, ROWS_PER_STATEMENT):
        yield slice(start, start + ROWS_PER_STATEMENT)
