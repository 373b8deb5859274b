"""Passages of words whose frequencies follow Zipf's law, written into a database as publishing and its
maintenance would leave them, and beside that into a table with PostgreSQL's own text search."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg

from db.models import new_id
from db.queries.postings import BLOCK_ENTRIES, ENTRY
from muniment.contracts.jobs import FileState

VOCABULARY = 300_000
TOKENS = 60
"""Of a passage."""
PASSAGES_PER_FILE = 50
_EXPONENT = 1.07
_LANGUAGE = "english"

Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Place:
    """Whose the passages are."""

    tenant_id: UUID
    collection_id: UUID


def word(term: int) -> str:
    """PostgreSQL's parser takes it for one word, and no stemmer changes it."""
    return f"w{term}"


def passage_text(tokens: Tokens) -> str:
    return " ".join(map(word, tokens.tolist()))


def zipf_passages(amount: int, seed: int = 11) -> Tokens:
    """The terms of each passage, a row each; term 0 is the most frequent."""
    random = np.random.default_rng(seed)
    shares = np.cumsum(1 / np.arange(1, VOCABULARY + 1) ** _EXPONENT)
    drawn = random.random((amount, TOKENS), np.float32) * np.float32(shares[-1])
    return np.searchsorted(shares, drawn).clip(0, VOCABULARY - 1).astype(np.int32)


def load(connection: psycopg.Connection, place: Place, passages: Tokens) -> None:
    """Files, chunks and the lexical index of all passages, numbered from 1."""
    versions = _load_files(connection, place, len(passages))
    _load_chunks(connection, place, versions, passages)
    _load_postings(connection, place, passages)
    connection.execute("SELECT setval('lexical_number', %s)", (len(passages) + 1,))


def load_text_search(connection: psycopg.Connection) -> None:
    """The same texts with a GIN index."""
    connection.execute(
        "CREATE TABLE bench_text_search (number bigint PRIMARY KEY, words tsvector NOT NULL)"
    )
    connection.execute(
        "INSERT INTO bench_text_search SELECT document.first_number + chunk.ordinal,"
        " to_tsvector('english', chunk.text)"
        " FROM chunk JOIN lexical_document AS document USING (version_id)"
    )
    connection.execute("CREATE INDEX ON bench_text_search USING gin (words)")


def _load_files(
    connection: psycopg.Connection, place: Place, amount: int
) -> list[tuple[UUID, UUID]]:
    """Ids of files and their versions."""
    rows = [(new_id(), new_id(), first) for first in range(0, amount, PASSAGES_PER_FILE)]
    blob_id, digest = new_id(), hashlib.sha256(b"").digest()
    connection.execute(
        "INSERT INTO blob (id, tenant_id, kind, size, sha256, created_at)"
        " VALUES (%s, %s, 'content', 0, %s, now())",
        (blob_id, place.tenant_id, digest),
    )
    connection.execute(
        "INSERT INTO file (id, tenant_id, collection_id, name, state, current_version, media_type,"
        " metadata, labels, extracted, degraded, revision, created_at, updated_at)"
        " SELECT item, %s, %s, 'bench', %s, 1, 'text/plain', '{}', '{}', '{}', false, 1, now(), now()"
        " FROM unnest(%s::uuid[]) AS item",
        (place.tenant_id, place.collection_id, FileState.READY, [file for file, _, _ in rows]),
    )
    connection.execute(
        "INSERT INTO file_version (id, tenant_id, file_id, number, blob_id, name, size, sha256,"
        " declared_media_type, published_at, created_at)"
        " SELECT version, %s, file, 1, %s, 'bench', 0, %s, 'text/plain', now(), now()"
        " FROM unnest(%s::uuid[], %s::uuid[]) AS item(version, file)",
        (
            place.tenant_id,
            blob_id,
            digest,
            [version for _, version, _ in rows],
            [file for file, _, _ in rows],
        ),
    )
    with connection.cursor().copy(
        "COPY lexical_document (version_id, tenant_id, file_id, language, first_number, passages,"
        " terms, is_merged) FROM STDIN"
    ) as copy:
        for file, version, first in rows:
            passages = min(PASSAGES_PER_FILE, amount - first)
            copy.write_row(
                (
                    version,
                    place.tenant_id,
                    file,
                    _LANGUAGE,
                    first + 1,
                    passages,
                    passages * TOKENS,
                    True,
                )
            )
    return [(file, version) for file, version, _ in rows]


def _load_chunks(
    connection: psycopg.Connection,
    place: Place,
    versions: list[tuple[UUID, UUID]],
    passages: Tokens,
) -> None:
    with connection.cursor().copy(
        "COPY chunk (id, tenant_id, file_id, version_id, ordinal, text, text_hash, token_count,"
        " headings, pages, boxes, created_at) FROM STDIN"
    ) as copy:
        for index, tokens in enumerate(passages):
            file, version = versions[index // PASSAGES_PER_FILE]
            content = passage_text(tokens)
            copy.write_row(
                (
                    *(new_id(), place.tenant_id, file, version, index % PASSAGES_PER_FILE, content),
                    *(index.to_bytes(8), TOKENS, "{}", "{1}", "[]", "now"),
                )
            )


def _load_postings(connection: psycopg.Connection, place: Place, passages: Tokens) -> None:
    with connection.cursor().copy(
        "COPY posting (tenant_id, language, term, first_number, last_number, passages, entries)"
        " FROM STDIN"
    ) as copy:
        for term, numbers, frequencies in _inverted(passages):
            for start in range(0, len(numbers), BLOCK_ENTRIES):
                block = numbers[start : start + BLOCK_ENTRIES]
                entries = np.empty(len(block), ENTRY)
                entries["offset"] = block - block[0]
                entries["frequency"] = frequencies[start : start + BLOCK_ENTRIES]
                entries["length"] = TOKENS
                first, last = int(block[0]), int(block[-1])
                key = (place.tenant_id, _LANGUAGE, word(term), first, last)
                copy.write_row((*key, len(block), entries.tobytes()))


def _inverted(
    passages: Tokens,
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Each term with the numbers of its passages and how often it stands there."""
    numbers = np.arange(1, len(passages) + 1, dtype=np.int64)
    pairs = (passages.astype(np.int64) << 32 | numbers[:, None]).ravel()
    pairs.sort()
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    frequencies = np.diff(starts, append=len(pairs))
    pairs = pairs[starts]
    terms = pairs >> 32
    borders = np.flatnonzero(np.diff(terms, prepend=-1))
    for start, end in zip(borders, [*borders[1:], len(terms)], strict=True):
        yield int(terms[start]), pairs[start:end] & 0xFFFFFFFF, frequencies[start:end]
