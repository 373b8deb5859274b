"""The lexemes of sealed texts are those that PostgreSQL would have made."""

from importlib import import_module

import psycopg
import pytest
from hypothesis import given, settings, strategies

from db.queries.search import lexemes
from db.session import Database
from retrieval.letter_pairs import LETTER, in_pairs
from retrieval.sealed_lexemes import STOP_WORDS, sealed_lexemes
from tests.conftest import TenantFixture

migration = import_module("db.migrations.versions.0028_lexical_index")

TEXTS = (
    "The archive keeps every letter of the harbour master in oak boxes.",
    "Lighthouses were built along the northern coast after the storm of 1854.",
    "Sheep were counted each spring; the tally sticks are kept in the cellar.",
    "Either party may terminate this agreement by giving six months' written notice.",
    "Registered charters, leases and conveyances were surveyed by the town clerk's deputies.",
    "",
)


async def test_english_sentences_have_the_same_lexemes(
    database: Database, tenant: TenantFixture
) -> None:
    async with database.transaction(tenant.access) as session:
        expected = await lexemes(session, TEXTS)
    assert sealed_lexemes(TEXTS) == [frozenset(each) for each in expected]


@pytest.mark.parametrize(
    "content",
    [
        "东京都政府于2019年发布了新的预算案。水 is water，火。",
        "会議は来週の火曜日に開かれます。コーヒー・ショップで、時々。",
        "การประชุมจะจัดขึ้นในวันอังคารที่ ๑๒ น้ำ",
        "ກອງປະຊຸມ ຈະຈັດຂຶ້ນ မြန်မာ ភាសាខ្មែរ",
        "The treaty of 馬關條約 was signed in 1895 by 李鴻章.",
    ],
    ids=["Chinese", "Japanese", "Thai", "Lao, Burmese and Khmer", "mixed"],
)
async def test_scripts_without_spaces_have_the_same_pairs(
    database: Database, tenant: TenantFixture, content: str
) -> None:
    async with database.transaction(tenant.access) as session:
        (expected,) = await lexemes(session, [content])
    assert sealed_lexemes([content]) == [frozenset(expected)]


@settings(max_examples=100, deadline=None)
@given(
    texts=strategies.lists(
        strategies.text(
            alphabet="水火木กุ้ァ・ー々〇a1 ,。\u3040\u3100\u4dc0\U00020000", max_size=12
        ),
        min_size=1,
        max_size=20,
    )
)
def test_the_pairs_of_any_text_are_those_of_postgresql(postgres_dsn: str, texts: list[str]) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute(
            "SELECT searchable_words(given) FROM unnest(%s::text[]) WITH ORDINALITY AS t(given, place)"
            " ORDER BY place",
            [texts],
        ).fetchall()
    for text, (expected,) in zip(texts, found, strict=True):
        assert in_pairs(text).split() == expected.split()


def test_the_letters_are_those_of_the_migration() -> None:
    assert LETTER == migration.LETTER


async def test_the_stop_words_are_those_of_postgresql(
    database: Database, tenant: TenantFixture
) -> None:
    words = sorted(STOP_WORDS)
    async with database.transaction(tenant.access) as session:
        kept = await lexemes(session, words)
    assert not any(kept)
