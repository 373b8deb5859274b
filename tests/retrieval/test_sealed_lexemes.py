"""The lexemes of sealed texts are those that PostgreSQL would have made."""

from importlib import import_module

import psycopg
import pytest
from hypothesis import given, settings, strategies
from sqlalchemy import text

from db.queries.search import lexemes
from db.session import Database
from retrieval.grouped_numbers import GROUP_COMMA, ungrouped
from retrieval.letter_pairs import LETTER, in_pairs
from retrieval.sealed_lexemes import STOP_WORDS, sealed_lexemes
from tests.conftest import TenantFixture

migration = import_module("db.migrations.versions.0028_lexical_index")
numbers = import_module("db.migrations.versions.0049_grouped_numbers")

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
            alphabet="水火木กุ้ァ・ー々〇a12345, ,。\u3040\u3100\u4dc0\U00020000", max_size=12
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
    for each, (expected,) in zip(texts, found, strict=True):
        assert in_pairs(ungrouped(each)).split() == expected.split()


def test_the_letters_are_those_of_the_migration() -> None:
    assert LETTER == migration.LETTER == numbers.LETTER


def test_the_commas_are_those_of_the_migration() -> None:
    assert GROUP_COMMA == numbers.GROUP_COMMA


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1,452.4", "1452.4"),
        ("of $1,452,000 and 12,000.", "of $1452000 and 12000."),
        ("1.452,4", "1.452,4"),
        ("2019,2020", "2019,2020"),
        ("1,45", "1,45"),
        ("a,123", "a,123"),
        ("1,2345", "1,2345"),
        ("1, 234", "1, 234"),
    ],
)
async def test_a_number_in_groups_is_one_word(
    database: Database, tenant: TenantFixture, written: str, expected: str
) -> None:
    async with database.transaction(tenant.access) as session:
        made = await session.scalar(text("SELECT searchable_words(:written)"), {"written": written})
    assert made == expected == ungrouped(written)


async def test_the_stop_words_are_those_of_postgresql(
    database: Database, tenant: TenantFixture
) -> None:
    words = sorted(STOP_WORDS)
    async with database.transaction(tenant.access) as session:
        kept = await lexemes(session, words)
    assert not any(kept)
