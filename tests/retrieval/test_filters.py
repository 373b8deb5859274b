"""Filters: what each means in the database, and what is refused."""

from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from db.session import Database
from muniment.errors import InvalidRequest
from muniment.objects import SealedTexts
from retrieval.filters import parse_filter
from retrieval.request import SearchRequest
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.retrieval.published import publish_file

FILES: dict[str, dict[str, JsonValue]] = {
    "lease": {"year": 1901, "tags": ["harbour", "law"], "author": "Smit", "open": True},
    "map": {"year": 1854.5, "author": "O'Neil; DROP TABLE file", "date": "1854-03-02"},
    "ledger": {"year": "1901", "tags": [], "author": None, "deep": {"shelf": 3}},
}
MEDIA_TYPES = {"lease": "application/pdf", "map": "image/png", "ledger": "image/tiff"}
CREATED = {name: datetime(2024, month, 1, tzinfo=UTC) for month, name in enumerate(FILES, 1)}


@pytest.fixture
def searcher(database: Database, texts: SealedTexts) -> Searcher:
    """By words alone."""
    return Searcher(database, None, texts)


async def names_found(
    searcher: Searcher, tenant: TenantFixture, filter_: dict[str, JsonValue], collection: str | None
) -> set[str]:
    request = SearchRequest(query="paper", mode="lexical", filter=filter_, collection=collection)
    found = await searcher.search(tenant.access, request)
    return {hit.name for hit in found.data}


@pytest.fixture
async def archive(database: Database, tenant: TenantFixture) -> TenantFixture:
    for name, metadata in FILES.items():
        await publish_file(
            database,
            tenant.access,
            tenant.collection_id,
            [f"A paper on the {name}"],
            name=name,
            metadata=metadata,
            media_type=MEDIA_TYPES[name],
            labels=("kept", name),
            created_at=CREATED[name],
        )
    return tenant


def _named(value: object) -> str:
    """The same in every process: a set comes in an order of its own."""
    return str(sorted(value) if isinstance(value, set) else value)


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, {"lease", "map", "ledger"}),
        ({"year": 1901}, {"lease"}),
        ({"year": 1901.0}, {"lease"}),
        ({"year": "1901"}, {"ledger"}),
        ({"year": [1854.5, "1901"]}, {"map", "ledger"}),
        ({"year": {"gte": 1854.5, "lt": 1901}}, {"map"}),
        ({"year": {"gt": 1854.5}}, {"lease"}),
        ({"date": {"gte": "1854-01-01", "lte": "1854-12-31"}}, {"map"}),
        ({"date": {"gte": 1}}, set()),
        ({"tags": "law"}, {"lease"}),
        ({"tags": ["law", "x"], "open": True}, {"lease"}),
        ({"open": False}, set()),
        ({"author": None}, {"ledger"}),
        ({"tags": None}, {"map"}),
        ({"author": "O'Neil; DROP TABLE file"}, {"map"}),
        ({"no such' field": "x"}, set()),
        ({"deep": 3}, set()),
        ({"metadata": {"author": "Smit", "year": {"gte": 1900}}}, {"lease"}),
        ({"media_type": "application/pdf"}, {"lease"}),
        ({"media_type": "image/*"}, {"map", "ledger"}),
        ({"media_type": ["image/png", "application/pdf"]}, {"lease", "map"}),
        ({"media_type": "%"}, set()),
        ({"label": "map"}, {"map"}),
        ({"label": ["map", "lease"]}, {"map", "lease"}),
        ({"created": {"gte": "2024-02-01"}}, {"map", "ledger"}),
        ({"created": {"gt": "2024-02-01T00:00:00Z"}}, {"ledger"}),
        ({"created": {"lte": "2024-02-01T01:00:00+01:00"}}, {"lease", "map"}),
        ({"created": {"gte": "2024-01-15", "lt": "2024-02-15"}, "year": 1854.5}, {"map"}),
    ],
    ids=_named,
)
async def test_a_filter_keeps_what_it_names(
    searcher: Searcher,
    archive: TenantFixture,
    filter_: dict[str, JsonValue],
    expected: set[str],
) -> None:
    assert await names_found(searcher, archive, filter_, None) == expected


WHERE: list[tuple[JsonValue, set[str]]] = [
    ({"type": "eq", "key": "year", "value": 1901}, {"lease"}),
    ({"type": "ne", "key": "year", "value": 1901}, {"map", "ledger"}),
    ({"type": "ne", "key": "author", "value": "Smit"}, {"map", "ledger"}),
    ({"type": "eq", "key": "tags", "value": "law"}, {"lease"}),
    ({"type": "ne", "key": "tags", "value": "law"}, {"map", "ledger"}),
    ({"type": "eq", "key": "deep", "value": 3}, set()),
    ({"type": "ne", "key": "deep", "value": 3}, {"lease", "map", "ledger"}),
    ({"type": "nin", "key": "year", "value": [1901, "1901"]}, {"map"}),
    ({"type": "gt", "key": "year", "value": 1}, {"lease", "map"}),
    ({"type": "lte", "key": "date", "value": "1854-12-31"}, {"map"}),
    ({"type": "eq", "key": "author", "value": "O'Neil; DROP TABLE file"}, {"map"}),
    ({"type": "eq", "key": 'x" == 1 || $.y"', "value": 1}, set()),
    (
        {
            "type": "or",
            "filters": [
                {"type": "eq", "key": "open", "value": True},
                {
                    "type": "and",
                    "filters": [
                        {"type": "lt", "key": "year", "value": 1900},
                        {"type": "in", "key": "author", "value": ["Smit", "O'Neil; DROP TABLE file"]},
                    ],
                },
            ],
        },
        {"lease", "map"},
    ),
]  # fmt: skip


async def test_comparisons_are_joined_as_they_are_written(
    searcher: Searcher, archive: TenantFixture
) -> None:
    for where, expected in WHERE:
        assert await names_found(searcher, archive, {"where": where}, None) == expected, where
    both: dict[str, JsonValue] = {"where": WHERE[-1][0], "media_type": "image/*"}
    assert await names_found(searcher, archive, both, None) == {"map"}


async def test_a_file_is_chosen_by_its_id(
    searcher: Searcher, database: Database, archive: TenantFixture
) -> None:
    one = await publish_file(database, archive.access, archive.collection_id, ["paper"], name="one")
    assert await names_found(searcher, archive, {"file_id": str(one.file_id)}, None) == {"one"}


async def test_a_collection_is_named_by_id_or_name(
    searcher: Searcher, archive: TenantFixture
) -> None:
    for collection in ("default", str(archive.collection_id)):
        assert await names_found(searcher, archive, {}, collection) == set(FILES)
    assert await names_found(searcher, archive, {}, "no such collection") == set()


async def test_a_filter_leaves_the_scores_as_they_are(
    searcher: Searcher, archive: TenantFixture
) -> None:
    whole = await searcher.search(archive.access, SearchRequest(query="paper map", mode="lexical"))
    part = await searcher.search(
        archive.access,
        SearchRequest(query="paper map", mode="lexical", filter={"media_type": "image/png"}),
    )
    assert [hit.score for hit in part.data] == [whole.data[0].score]


@pytest.mark.parametrize(
    "filter_",
    [
        {"created": "2024"},
        {"created": {}},
        {"created": {"gte": "yesterday"}},
        {"created": {"gte": "0001-01-01"}},
        {"created": {"since": "2024-01-01"}},
        {"media_type": 3},
        {"media_type": []},
        {"file_id": "not an id"},
        {"metadata": "x"},
        {"year": {}},
        {"year": {"near": 3}},
        {"year": {"gte": True}},
        {"year": {"gte": None}},
        {"year": [[1]]},
        {"year": []},
        {"year": 10**40},
        {"year": float("inf")},
        {"author": "a\0b"},
        {"a\0b": "x"},
        {"": "x"},
        {"author": "\ud800"},
        {"author": ["x"] * 201},
        {"where": None},
        {"where": {"type": "eq", "key": "a", "value": "\ud800"}},
        {"where": {"type": "eq", "key": "\ud800", "value": 1}},
        {"where": {"type": "eq", "key": "a", "value": float("nan")}},
        {"where": {"type": {"eq": 1}, "key": "a", "value": 1}},
        {"where": {"type": "nin", "key": "a", "value": ["x"] * 201}},
        {"where": {"type": "and", "filters": [], "key": "a"}},
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_filter_that_means_nothing_is_refused(filter_: dict[str, JsonValue]) -> None:
    with pytest.raises(InvalidRequest):
        parse_filter(filter_)


def test_the_refusal_repeats_nothing_of_the_tenant() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_filter({"mrs_smith": ["x"] * 201})
    assert "smith" not in refused.value.detail + str(refused.value.errors)
