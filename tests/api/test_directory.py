"""Looking up whom to share with."""

import httpx
import pytest

from tests.api.conftest import ApiProcess, client_of
from tests.api.test_principals import make_key, make_principal


async def found(client: httpx.AsyncClient, query: str, **parameters: int) -> dict[str, object]:
    answer = await client.get("/v1/directory", params={"query": query, **parameters})
    assert answer.status_code == 200, answer.text
    result: dict[str, object] = answer.json()
    return result


async def names(client: httpx.AsyncClient, query: str, **parameters: int) -> list[str]:
    data = (await found(client, query, **parameters))["data"]
    assert isinstance(data, list)
    return [each["name"] for each in data]


async def test_whoever_shares_finds_people_programs_and_groups_by_name(
    api: ApiProcess, client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    ada = await make_principal(client, "Ada Lovelace")
    await make_principal(client, "Nevada Smith")
    group = (await client.post("/v1/groups", json={"name": "adaptation"})).json()
    gone = [await make_principal(client, f"ada {number}") for number in range(2)]
    await client.patch(f"/v1/principals/{gone[0]['id']}", json={"disabled": True})
    await client.delete(f"/v1/principals/{gone[1]['id']}")
    await make_principal(stranger, "Ada of another tenant")
    sharing = await make_key(client, ada["id"], "files:share")
    async with client_of(api, sharing) as sharer:
        shown = await found(sharer, "aDA")
        assert shown == {
            "data": [
                {"kind": "user", "id": ada["id"], "name": "Ada Lovelace"},
                {"kind": "group", "id": group["id"], "name": "adaptation"},
                {
                    "kind": "user",
                    "id": (await made_id(client, "Nevada Smith")),
                    "name": "Nevada Smith",
                },
            ],
            "truncated": False,
        }
        assert (await found(sharer, "ada", limit=1))["truncated"] is True
        assert await names(sharer, "ada", limit=1) == ["Ada Lovelace"]
        assert (await sharer.get("/v1/principals")).status_code == 403
    reading = await make_key(client, ada["id"], "files:read")
    async with client_of(api, reading) as reader:
        refused = await reader.get("/v1/directory", params={"query": "ada"})
        assert refused.status_code == 403


async def made_id(client: httpx.AsyncClient, name: str) -> str:
    listed = (await client.get("/v1/principals", params={"name": name})).json()
    return str(listed["data"][0]["id"])


async def test_signs_of_patterns_are_letters(client: httpx.AsyncClient) -> None:
    for name in ("100%", "a_b", "a/b", "axb"):
        await make_principal(client, name)
    assert await names(client, "%") == ["100%"]
    assert await names(client, "a_b") == ["a_b"]
    assert await names(client, "/") == ["a/b"]
    assert await names(client, "\\") == []


@pytest.mark.parametrize(("query", "status"), [("", 422), ("x" * 201, 422), ("a\x00", 400)])
async def test_what_is_no_part_of_a_name_is_refused(
    client: httpx.AsyncClient, query: str, status: int
) -> None:
    answer = await client.get("/v1/directory", params={"query": query})
    assert answer.status_code == status, answer.text
