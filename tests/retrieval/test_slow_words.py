"""Searches while search by words is too slow to take part."""

import pytest

from db.session import Database
from muniment.embedding import Embedder
from muniment.errors import DatabaseTooSlow
from muniment.objects import SealedTexts
from retrieval.request import SearchMode, SearchRequest
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.retrieval.published import publish_file

PASSAGES = (
    "Lighthouses were built along the northern coast after the storm of 1854.",
    "Sheep were counted each spring; the tally sticks are kept in the cellar.",
)
CENSUS = SearchRequest(query="livestock census")
BY_WORDS = SearchRequest(query="sheep", mode=SearchMode.LEXICAL)


async def test_where_words_are_too_slow_meaning_answers_and_it_says_so(
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    texts: SealedTexts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = await publish_file(
        database, tenant.access, tenant.collection_id, PASSAGES, embedder=embedder
    )
    monkeypatch.setattr("retrieval.search.AT_ONCE", 0)
    monkeypatch.setattr("retrieval.lexical.LONGEST_WAIT_SECONDS", 0.1)
    found = await Searcher(database, embedder, texts).search(tenant.access, CENSUS)
    assert found.data[0].chunk_id == published.chunk_ids[1]
    assert (found.mode_used, found.degraded) == (SearchMode.VECTOR, True)
    assert "by words" in found.reasons[0]
    assert found.data[0].score == found.data[0].scores.vector
    with pytest.raises(DatabaseTooSlow):
        await Searcher(database, None, texts).search(tenant.access, CENSUS)
    with pytest.raises(DatabaseTooSlow):
        await Searcher(database, embedder, texts).search(tenant.access, BY_WORDS)
