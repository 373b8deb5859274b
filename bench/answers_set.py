"""A tenant with very many passages that say something: sentences of real documents, put together anew."""

import json
from pathlib import Path

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
from db.queries.postings import BLOCK_ENTRIES
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


def add_passages_that_say_something(owner: str, embedder: Embedder, amount: int) -> NewApiKey:
    """The tenant TENANT with `amount` passages, found by words and by meaning as though they were
    published and merged; its administrator's key. Raises FileNotFoundError where the larger test data is
    absent."""
    texts = real_sentences(SENTENCES)
    note(f"answers: embedding {len(texts):,} sentences")
    vectors = embedder.embed(texts)
    key = bootstrap(owner, tenant=TENANT)
    with psycopg.connect(owner) as connection:
        tenant = _tenant(connection)
        note(f"answers: {amount:,} passages")
        _add_passages(connection, tenant, texts, vectors, amount)
        _index(connection, tenant)
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
) -> None:
    """A passage's vector lies among those of its sentences."""
    random = np.random.default_rng(17)
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
        left -= size
    connection.commit()


def _index(connection: psycopg.Connection, tenant: VectorTenant) -> None:
    """As publishing and its maintenance would leave it, of all passages at once."""
    connection.execute("SET LOCAL work_mem = '256MB'")
    for statement in _INDEX:
        connection.execute(
            statement, {"tenant": tenant.tenant_id, "each": CHUNKS_PER_FILE, "block": BLOCK_ENTRIES}
        )


# An entry of a posting is what `db.queries.postings.ENTRY` says.
_INDEX = (
    """
    INSERT INTO lexical_document
        (version_id, tenant_id, file_id, language, first_number, passages, terms, is_merged)
    SELECT version_id, tenant_id, file_id, 'english',
           1 + %(each)s * (row_number() OVER (ORDER BY version_id) - 1), count(*), sum(token_count), true
    FROM chunk WHERE tenant_id = %(tenant)s GROUP BY version_id, tenant_id, file_id
    """,
    """
    INSERT INTO posting (tenant_id, language, term, first_number, last_number, passages, entries)
    SELECT %(tenant)s, 'english', lexeme, number / %(block)s * %(block)s, max(number), count(*),
           string_agg(int4send(number %% %(block)s) || substring(int4send(frequency) FROM 4)
                      || substring(int4send(length) FROM 3), '' ORDER BY number)
    FROM (
        SELECT CAST(document.first_number + chunk.ordinal AS int) AS number, word.lexeme,
               cardinality(word.positions) AS frequency, chunk.token_count AS length
        FROM chunk JOIN lexical_document AS document USING (version_id)
        CROSS JOIN LATERAL unnest(to_tsvector('english', searchable_words(chunk.text))) AS word
        WHERE chunk.tenant_id = %(tenant)s
    ) AS occurrence
    GROUP BY lexeme, number / %(block)s
    """,
    "SELECT setval('lexical_number', (SELECT max(first_number + passages) FROM lexical_document))",
)
