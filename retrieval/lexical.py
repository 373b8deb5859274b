"""Search by words: BM25 (k1 1.2, b 0.75, Lucene's idf) over the lexemes of PostgreSQL's tokenizer."""

from dataclasses import dataclass
from uuid import UUID

from db.queries import search as queries
from db.session import Access, Database

DEPTH = 200
"""Passages that enter the fusion."""


@dataclass(frozen=True)
class LexicalResult:
    """BM25 by chunk, best first; `truncated` when the query's commonest terms were left out."""

    scores: dict[UUID, float]
    truncated: bool


async def search_words(
    database: Database,
    access: Access,
    query: str,
    wanted: queries.FileFilter,
    max_chunks: int = DEPTH,
) -> LexicalResult:
    """Nothing is query syntax: every text is words. Without any word of meaning, nothing is found."""
    async with database.transaction(access) as session:
        await queries.prepare_for_search(session)
        matches = await queries.bm25(session, query, wanted, max_chunks=max_chunks)
    return LexicalResult(
        {chunk.chunk_id: chunk.score for chunk in matches.chunks}, matches.truncated
    )
