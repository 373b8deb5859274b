"""A tenant with very many passages: real vectors of the embedding model, each many times with noise."""

import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg

from db.models import new_id
from muniment.embedding import DIMENSIONS, MODEL_ID, MODEL_VERSION

Vectors = npt.NDArray[np.float32]

CHUNKS_PER_FILE = 50
RARE_LABEL = "one-in-a-hundred"
_RARE_EVERY = 100
_BATCH = 10_000
_TEXT = "A passage of the size that passages have. " * 12
_TEXT_CHARACTERS = 300
_BASE_TEXTS = 6000
_NOISE = 0.5
"""Its length, beside a real vector's of 1: the cosine with that one is 0.89 afterwards."""
_CORPORA = ("scifact", "cranfield", "pubmedqa")
_REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class VectorTenant:
    tenant_id: UUID
    collection_id: UUID
    index_version_id: UUID


def real_passages() -> list[str]:
    """Raises FileNotFoundError where the larger test data is absent."""
    return _spread("corpus.jsonl", _BASE_TEXTS)


def real_questions(count: int) -> list[str]:
    """They are none of the passages. Raises FileNotFoundError as above."""
    return _spread("queries.jsonl", count)


def varied(base: Vectors, count: int, seed: int) -> Iterator[Vectors]:
    """`count` vectors of length 1 in batches: each a real one with noise in every direction."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, _BATCH):
        size = min(_BATCH, count - start)
        real = base[generator.integers(len(base), size=size)]
        noise = generator.normal(size=real.shape).astype(np.float32)
        moved = real + _NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        yield moved / np.linalg.norm(moved, axis=1, keepdims=True)


def add_passages(
    connection: psycopg.Connection, tenant: VectorTenant, batches: Iterator[Vectors]
) -> int:
    """Files of fifty passages each, every hundredth file with RARE_LABEL; how many passages. The
    connection is the schema owner's, which row-level security does not bind."""
    count = 0
    for vectors in batches:
        files = new_files(connection, tenant, -(-len(vectors) // CHUNKS_PER_FILE))
        copy_passages(connection, tenant, files, vectors)
        connection.commit()
        count += len(vectors)
    return count


def add_tenant(
    connection: psycopg.Connection, tenant_id: UUID, collection_id: UUID
) -> VectorTenant:
    """The tenant with an active index version of the packaged model."""
    index_version_id = new_id()
    connection.execute(
        "INSERT INTO index_version (id, tenant_id, model_id, model_version, dimensions, state,"
        " created_at, activated_at) VALUES (%s, %s, %s, %s, %s, 'active', now(), now())",
        (index_version_id, tenant_id, MODEL_ID, MODEL_VERSION, DIMENSIONS),
    )
    connection.commit()
    return VectorTenant(tenant_id, collection_id, index_version_id)


def copy_passages(
    connection: psycopg.Connection,
    tenant: VectorTenant,
    files: Sequence["NewFile"],
    vectors: Vectors,
    texts: Sequence[str] | None = None,
) -> None:
    """Fifty passages a file, with COPY; all say the same, unless their texts are given."""
    chunk_ids = [new_id() for _ in vectors]
    _copy_chunks(connection, tenant, files, chunk_ids, texts or [_TEXT] * len(chunk_ids))
    _copy_vectors(connection, tenant, chunk_ids, vectors)


def _copy_vectors(
    connection: psycopg.Connection,
    tenant: VectorTenant,
    chunk_ids: Sequence[UUID],
    vectors: Vectors,
) -> None:
    """In PostgreSQL's binary format; of pgvector's halfvec: dimensions, unused, and elements, two bytes
    each."""
    halves = vectors.astype(">f2")
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY embedding (chunk_id, index_version_id, tenant_id, vector)"
            " FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0))
        size = struct.pack("!i", 4 + 2 * vectors.shape[1]) + struct.pack("!hh", vectors.shape[1], 0)
        sixteen = struct.pack("!i", 16)
        index_version, owner = (
            sixteen + tenant.index_version_id.bytes,
            sixteen + tenant.tenant_id.bytes,
        )
        copy.write(
            b"".join(
                struct.pack("!h", 4)
                + sixteen
                + chunk_id.bytes
                + index_version
                + owner
                + size
                + half.tobytes()
                for chunk_id, half in zip(chunk_ids, halves, strict=True)
            )
        )
        copy.write(struct.pack("!h", -1))


@dataclass(frozen=True)
class NewFile:
    file_id: UUID
    version_id: UUID


def new_files(connection: psycopg.Connection, tenant: VectorTenant, count: int) -> list[NewFile]:
    """Every hundredth of a tenant's has RARE_LABEL."""
    known = connection.execute(
        "SELECT count(*) FROM file WHERE tenant_id = %s", (tenant.tenant_id,)
    ).fetchone()
    before = 0 if known is None else int(known[0])
    files = [(new_id(), new_id(), new_id()) for _ in range(count)]
    columns = {
        "ids": [each[0] for each in files],
        "versions": [each[1] for each in files],
        "blobs": [each[2] for each in files],
        "before": before,
        "tenant": tenant.tenant_id,
        "collection": tenant.collection_id,
        "every": _RARE_EVERY,
        "label": RARE_LABEL,
    }
    for statement in _ADD_FILES:
        connection.execute(statement, columns)
    return [NewFile(each[0], each[1]) for each in files]


_ADD_FILES = (
    "INSERT INTO blob (id, tenant_id, kind, size, sha256, created_at)"
    " SELECT id, %(tenant)s, 'content', 1, '', now() FROM unnest(%(blobs)s::uuid[]) AS id",
    "INSERT INTO file (id, tenant_id, collection_id, name, state, current_version, media_type,"
    " labels, metadata, degraded, revision, created_at, updated_at)"
    " SELECT id, %(tenant)s, %(collection)s, 'file', 'ready', 1, 'text/plain',"
    " CASE WHEN (%(before)s + place) %% %(every)s = 0 THEN ARRAY[%(label)s] ELSE '{}' END,"
    " jsonb_build_object('year', 1900 + (%(before)s + place) %% 100), false, 1, now(), now()"
    " FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS new(id, place)",
    "INSERT INTO file_version (id, tenant_id, file_id, number, blob_id, name, size, sha256,"
    " declared_media_type, published_at, created_at)"
    " SELECT version, %(tenant)s, id, 1, blob, 'file', 1, '', 'text/plain', now(), now()"
    " FROM unnest(%(ids)s::uuid[], %(versions)s::uuid[], %(blobs)s::uuid[]) AS new(id, version, blob)",
)


def _copy_chunks(
    connection: psycopg.Connection,
    tenant: VectorTenant,
    files: Sequence[NewFile],
    chunk_ids: Sequence[UUID],
    texts: Sequence[str],
) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY chunk (id, tenant_id, file_id, version_id, ordinal, text, text_hash, token_count,"
            " headings, pages, boxes, created_at) FROM STDIN"
        ) as copy,
    ):
        for place, chunk_id in enumerate(chunk_ids):
            file = files[place // CHUNKS_PER_FILE]
            ordinal = place % CHUNKS_PER_FILE
            copy.write_row(
                (
                    *(chunk_id, tenant.tenant_id, file.file_id, file.version_id, ordinal),
                    *(texts[place], chunk_id.bytes, 100),
                    *([], [1], "[]", "2026-01-01"),
                )
            )


def _spread(name: str, count: int) -> list[str]:
    """So many beginnings of texts, evenly out of all corpora."""
    folder = Path(os.environ.get("MUNIMENT_TEST_DATA", _REPOSITORY.parent / "shared" / "data"))
    texts: list[str] = []
    for corpus in _CORPORA:
        with (folder / "ir" / corpus / name).open(encoding="utf-8") as lines:
            texts += [str(json.loads(line)["text"])[:_TEXT_CHARACTERS] for line in lines]
    return texts[:: max(1, len(texts) // count)][:count]
