"""Passages that were there before the index of words was made, or made anew, are found after it, and again
without it."""

import psycopg
import pytest

from db.migrate import migrate
from db.queries.search import FileFilter
from db.session import Database
from retrieval.lexical import search_words
from tests.conftest import make_tenant
from tests.db.test_downgrades import dsn_of, revision_of
from tests.db.test_postings import erase, merged
from tests.retrieval.published import publish_file

FORMER_POSTINGS = (
    "SELECT term, frequency, term_count FROM posting JOIN chunk ON chunk.id = chunk_id"
)


async def test_passages_are_found_after_the_upgrade_as_before(owner_dsn: str) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    other = make_tenant(dsn_of("postgres", owner_dsn))

    async def found(query: str) -> dict[str, float]:
        database = Database(dsn_of("muniment_app", owner_dsn))
        scores = (await search_words(database, tenant.access, query, FileFilter())).scores
        await database.close()
        return {str(chunk_id): score for chunk_id, score in scores.items()}

    database = Database(dsn_of("muniment_app", owner_dsn))
    await publish_file(database, other.access, other.collection_id, ["oak oak oak"])
    await publish_file(database, tenant.access, tenant.collection_id, ["oak elm oak", "the ash"])
    await publish_file(database, tenant.access, tenant.collection_id, ["新的预算案", "oak"])
    await database.close()
    before = [await found(query) for query in ("oak", "ash oak", "预算")]
    assert [len(each) for each in before] == [2, 3, 1]
    while revision_of(owner_dsn) != "0027":
        migrate(owner_dsn, "-1")
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        former = connection.execute(FORMER_POSTINGS).fetchall()
    assert ("oak", 2, 3) in former
    assert ("oak", 3, 3) in former
    assert len(former) == 6
    migrate(owner_dsn)
    assert [await found(query) for query in ("oak", "ash oak", "预算")] == before
    database = Database(dsn_of("muniment_app", owner_dsn))
    await publish_file(database, tenant.access, tenant.collection_id, ["oak"])
    await merged(database, tenant)
    await database.close()
    assert len(await found("oak")) == 3


@pytest.mark.parametrize("is_merged", [False, True])
async def test_numbers_in_groups_are_indexed_anew(owner_dsn: str, is_merged: bool) -> None:
    """Also down again; of a document that goes afterwards no word is left, of either form."""
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    while revision_of(owner_dsn) != "0049":
        migrate(owner_dsn, "-1")
    migrate(owner_dsn, "-1")

    async def found(query: str) -> int:
        database = Database(dsn_of("muniment_app", owner_dsn))
        scores = (await search_words(database, tenant.access, query, FileFilter())).scores
        await database.close()
        return len(scores)

    database = Database(dsn_of("muniment_app", owner_dsn))
    figures = [f"row {number}" for number in range(600)] + ["sales of 1,452.4 in spring"]
    document = await publish_file(database, tenant.access, tenant.collection_id, figures)
    await publish_file(database, tenant.access, tenant.collection_id, ["sales of 452.4", "spring"])
    if is_merged:
        await merged(database, tenant)
    assert [await found(query) for query in ("452.4", "spring", "1452.4", "row")] == [2, 2, 0, 200]
    migrate(owner_dsn, "0049")
    new = [1, 2, 1, 1, 200]
    asked = ("452.4", "spring", "1452.4", "1,452.4", "row")
    assert [await found(query) for query in asked] == new
    await merged(database, tenant)
    assert [await found(query) for query in asked] == new
    migrate(owner_dsn, "-1")
    assert [await found(query) for query in asked[:3]] == [2, 2, 0]
    migrate(owner_dsn, "0049")
    await erase(database, tenant, document.file_id)
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        left = connection.execute(
            "SELECT term FROM posting UNION SELECT unnest(terms) FROM unmerged_posting"
            " UNION SELECT unnest(terms) FROM posting_removal ORDER BY 1"
        ).fetchall()
    assert [term for (term,) in left] == ["452.4", "sale", "spring"]
    await database.close()
    migrate(owner_dsn)
