"""The lexemes of sealed texts are those that PostgreSQL would have made."""

from db.queries.search import lexemes
from db.session import Database
from retrieval.sealed_lexemes import STOP_WORDS, sealed_lexemes
from tests.conftest import TenantFixture

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


async def test_the_stop_words_are_those_of_postgresql(
    database: Database, tenant: TenantFixture
) -> None:
    words = sorted(STOP_WORDS)
    async with database.transaction(tenant.access) as session:
        kept = await lexemes(session, words)
    assert not any(kept)
