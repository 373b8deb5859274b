"""A tenant with very many passages that say something: sentences of real documents, put together anew."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg

from bench.quality.cases import data_folder
from bench.results import note
from bench.vector_set import (
    CHUNKS_PER_FILE,
    Vectors,
    VectorTenant,
    add_tenant,
    copy_passages,
    new_files,
)
from db.bootstrap import bootstrap
from db.queries import postings
from db.session import Access, Database
from muniment.api_keys import NewApiKey
from muniment.embedding import Embedder
from retrieval.sentences import sentence_ranges

TENANT = "answers"
SENTENCES = 12_000
_SENTENCES_PER_PASSAGE = 3
_CORPORA = ("scifact", "cranfield", "pubmedqa")
_NOISE = 0.3
"""Beside a passage's own vector of length 1: no two passages have the same."""
_FILES_AT_ONCE = 200


async def add_passages_that_say_something(
    owner: str, database: Database, embedder: Embedder, amount: int
) -> NewApiKey:
    """The tenant TENANT with `amount` passages, found by words and by meaning as though they were
    published and merged; its administrator's key. Raises FileNotFoundError where the larger test data is
    absent."""
    texts = real_sentences(SENTENCES)
    note(f"answers: embedding {len(texts):,} sentences")
    vectors = await asyncio.to_thread(embedder.embed, texts)
    key = bootstrap(owner, tenant=TENANT)
    with psycopg.connect(owner) as connection:
        tenant = _tenant(connection)
        note(f"answers: {amount:,} passages")
        versions = _add_passages(connection, tenant, texts, vectors, amount)
        await _index(database, tenant, versions)
        connection.execute("SELECT set_config('app.tenant', %s, true)", (str(tenant.tenant_id),))
        connection.execute("SELECT make_vector_graph(%s)", (tenant.index_version_id,))
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
    return key


def real_sentences(count: int) -> list[str]:
    """Evenly out of all documents."""
    found: list[str] = []
    for corpus in _CORPORA:
        for said in _texts(data_folder() / "ir" / corpus / "corpus.jsonl"):
            found += [said[start:end] for start, end in sentence_ranges(said)]
    return found[:: max(1, len(found) // count)][:count]


def _texts(corpus: Path) -> list[str]:
    with corpus.open(encoding="utf-8") as lines:
        return [str(json.loads(line)["text"]) for line in lines]


def _tenant(connection: psycopg.Connection) -> VectorTenant:
    row = connection.execute(
        "SELECT tenant.id, collection.id FROM tenant"
        " JOIN collection ON collection.tenant_id = tenant.id WHERE tenant.name = %s",
        (TENANT,),
    ).fetchone()
    assert row is not None  # noqa: S101 - it was just made
    return add_tenant(connection, *row)


def _add_passages(
    connection: psycopg.Connection,
    tenant: VectorTenant,
    texts: list[str],
    vectors: Vectors,
    amount: int,
) -> list[UUID]:
    """The ids of the files' versions. A passage's vector lies among those of its sentences."""
    random = np.random.default_rng(17)
    versions: list[UUID] = []
    left = amount
    while left > 0:
        size = min(left, _FILES_AT_ONCE * CHUNKS_PER_FILE)
        drawn = random.integers(len(texts), size=(size, _SENTENCES_PER_PASSAGE))
        noise = random.normal(size=(size, vectors.shape[1])).astype(np.float32)
        of_passages = vectors[drawn].sum(axis=1)
        of_passages /= np.linalg.norm(of_passages, axis=1, keepdims=True)
        of_passages += _NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        of_passages /= np.linalg.norm(of_passages, axis=1, keepdims=True)
        said = [" ".join(texts[place] for place in row) for row in drawn]
        files = new_files(connection, tenant, -(-size // CHUNKS_PER_FILE))
        copy_passages(connection, tenant, files, of_passages, said)
        versions += [file.version_id for file in files]
        left -= size
    connection.commit()
    return versions


async def _index(database: Database, tenant: VectorTenant, versions: list[UUID]) -> None:
    """As publishing does, and then its maintenance."""
    access = Access(tenant.tenant_id)
    for version_id in versions:
        async with database.transaction(access) as session:
            await postings.index_words(session, version_id)
    async with database.transaction(access) as session:
        unmerged = await postings.unmerged(session)
    last: postings.PostingKey | None = None
    while True:
        async with database.transaction(access) as session:
            page = await postings.merge_page(session, last)
        last = page.last
        if last is None:
            break
    async with database.transaction(access) as session:
        await postings.mark_merged(session, unmerged)
