"""Passages are marked as their own language has it."""

from collections.abc import Sequence

import pytest

from db.queries.postings import forget_words, index_words
from db.session import Database
from muniment.embedding import Embedder
from muniment.objects import SealedTexts
from retrieval.highlighting import highlight_ranges
from retrieval.request import SearchMode, SearchRequest
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.retrieval.published import publish_file


async def marked(
    database: Database,
    tenant: TenantFixture,
    texts: SealedTexts,
    embedder: Embedder | None,
    language: str,
    content: str,
    query: str,
) -> Sequence[str]:
    file = await publish_file(
        database, tenant.access, tenant.collection_id, [content], embedder=embedder
    )
    async with database.transaction(tenant.system) as session:
        await forget_words(session, file.file_id)
        await index_words(session, file.version_id, language)
    found = await Searcher(database, embedder, texts).search(
        tenant.access,
        SearchRequest(query=query, mode=SearchMode.HYBRID if embedder else SearchMode.LEXICAL),
    )
    (hit,) = found.data
    assert hit.text == content
    return [content[start:end] for start, end in hit.highlights]


@pytest.mark.parametrize(
    ("language", "content", "query", "words"),
    [
        ("english", "The harbours & cranes", "harbour crane", ["harbours", "cranes"]),
        ("german", "Die Häuser am Hafen", "Häusern", ["Häuser"]),
        ("french", "Les maisons étaient vendues", "maison vendue", ["maisons", "vendues"]),
        ("russian", "Новые корабли в порту", "корабль", ["корабли"]),
        ("simple", "东京都政府发布了新的预算案。", "预算案 政府", ["政府", "预算案"]),
        ("simple", "会議は来週の火曜日に開かれます。", "火曜日", ["火曜日"]),
        ("simple", "การประชุมจะจัดขึ้นในวันอังคาร", "ประชุม", ["ประชุม"]),
        ("english", "Treaty 馬關條約 signed", '"馬關條約" sign*', ["馬關條約", "signed"]),
        ("german", "Der Hafenmeister kam", "hafen*", ["Hafenmeister"]),
    ],
)
async def test_words_are_marked_in_the_documents_language(
    database: Database,
    tenant: TenantFixture,
    texts: SealedTexts,
    language: str,
    content: str,
    query: str,
    words: list[str],
) -> None:
    assert await marked(database, tenant, texts, None, language, content, query) == words


async def test_what_a_search_by_meaning_finds_is_marked_so_too(
    database: Database, tenant: TenantFixture, texts: SealedTexts, embedder: Embedder
) -> None:
    found = await marked(
        database, tenant, texts, embedder, "german", "Die Häuser am Hafen", "Häusern -Schiff"
    )
    assert found == ["Häuser"]


def test_marks_that_overlap_are_one_and_there_are_not_too_many() -> None:
    assert highlight_ranges("水火木", "\ufdd0水火\ufdd1木", "火木") == ((0, 3),)
    assert len(highlight_ranges("水火 " * 500, "水火 " * 500, "水火")) == 100
    assert highlight_ranges("水火", None, "水火") == ()


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("sales of 1,452.4", ["1,452.4"]),
        ("1452.4", ["1,452.4"]),
        ("12,000 or 1452", ["12,000"]),
        ("1,452", []),
        ("452.4", []),
    ],
)
def test_a_number_in_groups_is_marked_whole(query: str, marked: list[str]) -> None:
    text = "Of 12,000 sold, 1,452.4 were returned; 452.4 not, 11,452.4 neither."
    ranges = highlight_ranges(text, text, query)
    assert [text[start:end] for start, end in ranges] == marked
