"""The tenant's words that mean the same: who sets them, and what a list may be."""

import asyncio

import httpx
import pytest

from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant

PATH = "/v1/synonyms"
LIST = {
    "rules": [
        {"words": ["car", "automobile"], "also": []},
        {"words": ["PTO"], "also": ["paid leave"]},
    ]
}


async def test_the_list_is_set_as_a_whole_and_not_written_over(
    client: httpx.AsyncClient,
) -> None:
    empty = await client.get(PATH)
    assert empty.json() == {"rules": []}
    done = await client.put(PATH, json=LIST, headers={"If-Match": empty.headers["ETag"]})
    assert done.status_code == 200, done.text
    assert done.json() == LIST
    shown = await client.get(PATH)
    assert (shown.json(), shown.headers["ETag"]) == (LIST, done.headers["ETag"])
    stale = await client.put(PATH, json={"rules": []}, headers={"If-Match": empty.headers["ETag"]})
    assert stale.status_code == 412
    assert (await client.put(PATH, json={"rules": []})).status_code == 200
    assert (await client.get(PATH)).json() == {"rules": []}


@pytest.mark.parametrize(
    "rules",
    [
        [{"words": []}],
        [{"words": ["one"]}],
        [{"words": ["one", "one"]}],
        [{"words": ["one", "..."]}],
        [{"words": ["one", "tw\0o"]}],
        [{"words": ["one", "t" * 101]}],
        [{"words": ["one", "two"], "too": []}],
        [{"words": [f"w{number}" for number in range(21)]}],
        [{"words": ["one", "two"]}] * 501,
        [{"words": [f"w{number}" for number in range(20)]}] * 101,
        "no list",
    ],
)
async def test_what_is_no_list_is_refused(client: httpx.AsyncClient, rules: object) -> None:
    answer = await client.put(PATH, json={"rules": rules})
    assert answer.status_code == 422


async def test_a_full_list_is_kept_and_two_at_once_leave_one_of_them(
    client: httpx.AsyncClient,
) -> None:
    lists = [
        {
            "rules": [
                {"words": [f"{name}{rule}w{word}" for word in range(4)], "also": []}
                for rule in range(500)
            ]
        }
        for name in ("first", "second")
    ]
    answers = await asyncio.gather(*(client.put(PATH, json=each) for each in lists))
    assert [each.status_code for each in answers] == [200, 200]
    assert (await client.get(PATH)).json() in lists


async def test_it_is_for_administrators_to_set_and_of_one_tenant(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    assert (await client.put(PATH, json=LIST)).status_code == 200
    made = make_tenant(postgres_dsn, tenant.name, principal="somebody", is_admin=False)
    async with client_of(api, made.api_key) as somebody:
        assert (await somebody.get(PATH)).json() == LIST
        assert (await somebody.put(PATH, json={"rules": []})).status_code == 403
    assert (await stranger.get(PATH)).json() == {"rules": []}
    assert (await stranger.put(PATH, json={"rules": []})).status_code == 200
    assert (await client.get(PATH)).json() == LIST
