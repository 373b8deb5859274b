"""Search by words over a million passages: how long it takes beside PostgreSQL's own text search, and how
much it agrees with `bm25s`."""

import statistics
import time
from uuid import UUID

import bm25s
import numpy as np
import psycopg
from bm25s.tokenization import Tokenized

from bench.lexical_corpus import (
    TOKENS,
    VOCABULARY,
    Place,
    Tokens,
    load,
    load_text_search,
    word,
    zipf_passages,
)
from bench.postgres import application_dsn, empty_postgres
from bench.results import Result, note
from db.bootstrap import bootstrap
from db.queries.search import FileFilter
from db.session import Access, Database
from retrieval.lexical import LexicalResult, search_words

P95_LIMIT_MS = 50.0
OVERLAP_LIMIT = 0.99
LEAST_TIMES_FASTER = 15.0
_QUERIES = 200
_TEXT_SEARCH_QUERIES = 40
_TOP = 10


async def measure_lexical(amount: int) -> bool:
    """Prints p50, p95 and agreement; whether the limits were held."""
    note(f"lexical: {amount} passages of {TOKENS} words")
    passages = zipf_passages(amount)
    queries = _queries(passages)
    with empty_postgres() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        place, access = _tenant(connection, dsn)
        started = time.perf_counter()
        load(connection, place, passages)
        Result("lexical.load", time.perf_counter() - started, "s").print()
        _print_size(connection)
        load_text_search(connection)
        connection.execute("VACUUM ANALYZE")
        database = Database(application_dsn(dsn))
        try:
            found, ours = await _ours(database, access, queries)
            numbers = _numbers(connection)
        finally:
            await database.close()
        theirs = _text_search(connection, queries[:_TEXT_SEARCH_QUERIES])
    overlap = _overlap(passages, queries, [_top(each, numbers) for each in found])
    ours_p95, theirs_p95 = _p95(ours), _p95(theirs)
    Result("lexical.p50", statistics.median(ours), "ms", statistics.median(theirs)).print()
    Result("lexical.p95", ours_p95, "ms", theirs_p95).print()
    Result("lexical.overlap_with_bm25s", overlap, "share").print()
    return (
        ours_p95 <= P95_LIMIT_MS
        and overlap >= OVERLAP_LIMIT
        and theirs_p95 >= LEAST_TIMES_FASTER * ours_p95
    )


def _queries(passages: Tokens) -> list[list[int]]:
    """Of one frequent, two middling and two rare terms each, which occur."""
    random = np.random.default_rng(5)
    present = np.unique(passages)
    frequent, middling, rare = (
        present[(present >= low) & (present < high)]
        for low, high in ((0, 20), (200, 5_000), (20_000, VOCABULARY))
    )
    return [
        [
            int(random.choice(frequent)),
            *random.choice(middling, 2, replace=False).tolist(),
            *random.choice(rare, 2, replace=False).tolist(),
        ]
        for _ in range(_QUERIES)
    ]


def _tenant(connection: psycopg.Connection, dsn: str) -> tuple[Place, Access]:
    bootstrap(dsn)
    row = connection.execute(
        "SELECT tenant.id, collection.id, principal.id FROM tenant"
        " JOIN collection ON collection.tenant_id = tenant.id"
        " JOIN principal ON principal.tenant_id = tenant.id"
    ).fetchone()
    if row is None:
        raise RuntimeError("there is no tenant")
    return Place(row[0], row[1]), Access(row[0], row[2])


def _print_size(connection: psycopg.Connection) -> None:
    row = connection.execute("SELECT pg_total_relation_size('posting')").fetchone()
    Result("lexical.size", (row[0] if row else 0) / 1e6, "MB").print()


async def _ours(
    database: Database, access: Access, queries: list[list[int]]
) -> tuple[list[LexicalResult], list[float]]:
    found, spent = [], []
    for query in [*queries[:20], *queries]:
        content = " ".join(map(word, query))
        started = time.perf_counter()
        found.append(await search_words(database, access, content, FileFilter()))
        spent.append((time.perf_counter() - started) * 1000)
    return found[20:], spent[20:]


def _text_search(connection: psycopg.Connection, queries: list[list[int]]) -> list[float]:
    spent = []
    for query in queries:
        asked = " | ".join(map(word, query))
        started = time.perf_counter()
        connection.execute(
            "SELECT number FROM bench_text_search, to_tsquery('english', %s) AS asked"
            " WHERE words @@ asked ORDER BY ts_rank_cd(words, asked) DESC LIMIT 200",
            (asked,),
        ).fetchall()
        spent.append((time.perf_counter() - started) * 1000)
    return spent


def _numbers(connection: psycopg.Connection) -> dict[UUID, int]:
    rows = connection.execute(
        "SELECT chunk.id, document.first_number + chunk.ordinal FROM chunk"
        " JOIN lexical_document AS document USING (version_id)"
    )
    return dict(rows.fetchall())


def _top(found: LexicalResult, numbers: dict[UUID, int]) -> list[int]:
    return [numbers[chunk_id] for chunk_id in list(found.scores)[:_TOP]]


def _overlap(passages: Tokens, queries: list[list[int]], tops: list[list[int]]) -> float:
    """The share of our best ten that are no worse than the tenth of `bm25s`, so that passages of equal
    score count whichever of them were taken."""
    vocabulary = {word(term): term for term in range(VOCABULARY)}
    oracle = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    oracle.index(Tokenized(ids=passages.tolist(), vocab=vocabulary), show_progress=False)
    shares = []
    for query, top in zip(queries, tops, strict=True):
        scores = oracle.get_scores(list(map(word, query)))
        tenth = np.partition(scores, -_TOP)[-_TOP]
        shares.append(np.mean(scores[np.array(top) - 1] >= tenth - 1e-4))
    return float(np.mean(shares))


def _p95(spent: list[float]) -> float:
    return statistics.quantiles(spent, n=20)[18]
