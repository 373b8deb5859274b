"""What of a collection, and of a tenant, goes to the cold tier by itself: who sets it, and which rule
decides."""

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant

TENANT = "/v1/tier-policy"
NOTHING = {"source": "installation", "after_days": None, "min_bytes": 0}


async def collection(client: httpx.AsyncClient, name: str) -> str:
    made = await client.post("/v1/collections", json={"name": name})
    assert made.status_code == 201, made.text
    return f"/v1/collections/{made.json()['id']}/tier-policy"


async def rule_of(client: httpx.AsyncClient, file_id: str) -> dict[str, object]:
    shown = await client.get(f"/v1/files/{file_id}/tier")
    rule: dict[str, object] = shown.json()["rule"]
    return rule


async def test_a_collections_own_policy_goes_before_the_tenants(client: httpx.AsyncClient) -> None:
    own = await collection(client, "own")
    assert (await client.get(own)).json() == NOTHING
    assert (await client.get(TENANT)).json() == NOTHING
    of_tenant = await client.put(TENANT, json={"after_days": 90, "min_bytes": 5})
    assert of_tenant.json() == {"source": "tenant", "after_days": 90.0, "min_bytes": 5}
    assert (await client.get(own)).json() == of_tenant.json()
    set_own = await client.put(own, json={"after_days": None})
    assert set_own.json() == {"source": "collection", "after_days": None, "min_bytes": 1024**2}
    file = (await client.post("/v1/files?name=a.txt&collection=own", content=b"a")).json()
    assert await rule_of(client, file["id"]) == set_own.json()
    assert (await client.delete(own)).status_code == 204
    assert (await client.delete(own)).status_code == 404
    assert await rule_of(client, file["id"]) == of_tenant.json()
    assert (await client.delete(TENANT)).status_code == 204
    assert await rule_of(client, file["id"]) == NOTHING


async def test_of_content_that_several_collections_have_the_hottest_rule_decides(
    client: httpx.AsyncClient,
) -> None:
    early, late = await collection(client, "early"), await collection(client, "late")
    await client.put(early, json={"after_days": 7, "min_bytes": 0})
    await client.put(late, json={"after_days": 365, "min_bytes": 0})
    ids = []
    for name in ("early", "late"):
        answer = await client.post(f"/v1/files?name=a.txt&collection={name}", content=b"the same")
        ids.append(answer.json()["id"])
    hottest = {"after_days": 365.0, "min_bytes": 0}
    assert await rule_of(client, ids[0]) == {"source": "another_collection", **hottest}
    assert await rule_of(client, ids[1]) == {"source": "collection", **hottest}
    await client.put(early, json={"after_days": None})
    assert (await rule_of(client, ids[0]))["source"] == "collection"
    assert (await rule_of(client, ids[1]))["source"] == "another_collection"


async def test_a_rule_that_keeps_small_content_decides_over_one_that_sends_it_away_late(
    client: httpx.AsyncClient,
) -> None:
    large, any_size = await collection(client, "large"), await collection(client, "any size")
    await client.put(large, json={"after_days": 1, "min_bytes": 5})
    await client.put(any_size, json={"after_days": 30, "min_bytes": 0})

    async def shown(content: bytes) -> dict[str, object]:
        ids = []
        for name in ("large", "any size"):
            answer = await client.post(f"/v1/files?name=a&collection={name}", content=content)
            ids.append(answer.json()["id"])
        return await rule_of(client, ids[0])

    assert await shown(b"less") == {"source": "collection", "after_days": 1.0, "min_bytes": 5}
    of_other = {"source": "another_collection", "after_days": 30.0, "min_bytes": 0}
    assert await shown(b"as many") == of_other


async def test_whose_content_is_the_same_is_not_told_to_who_does_not_see_it(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await client.post("/v1/collections", json={"name": "mine", "visibility": "private"})
    await client.put(f"/v1/collections/{made.json()['id']}/tier-policy", json={"after_days": None})
    await client.post("/v1/files?name=a.txt&collection=mine", content=b"the same")
    somebody = make_tenant(postgres_dsn, tenant.name, principal="somebody", is_admin=False)
    await client.put(TENANT, json={"after_days": 7, "min_bytes": 0})
    async with client_of(api, somebody.api_key) as other:
        file = (await other.post("/v1/files?name=b.txt", content=b"the same")).json()
        shown = {"source": "tenant", "after_days": 7.0, "min_bytes": 0}
        assert await rule_of(other, file["id"]) == shown
    assert (await rule_of(client, file["id"]))["source"] == "another_collection"


async def test_who_changed_it_meanwhile_is_not_written_over(client: httpx.AsyncClient) -> None:
    own = await collection(client, "own")
    unset = (await client.get(own)).headers["ETag"]
    first = await client.put(own, json={"after_days": 7}, headers={"If-Match": unset})
    assert first.status_code == 200
    late = await client.put(own, json={"after_days": 9}, headers={"If-Match": unset})
    assert late.status_code == 412
    again = await client.put(
        own, json={"after_days": 9}, headers={"If-Match": first.headers["ETag"]}
    )
    assert again.json()["after_days"] == 9


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"after_days": 0},
        {"after_days": 36_601},
        {"after_days": "soon"},
        {"after_days": 7, "min_bytes": -1},
        {"after_days": 7, "min_bytes": 2**63},
        {"after_days": 7, "tier": "cold"},
        [],
    ],
)
async def test_what_is_no_policy_is_422(client: httpx.AsyncClient, body: object) -> None:
    assert (await client.put(TENANT, json=body)).status_code == 422


async def test_the_tenants_policy_is_for_administrators_to_set(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn, tenant.name, principal="somebody", is_admin=False)
    async with client_of(api, made.api_key) as client:
        assert (await client.get(TENANT)).status_code == 200
        assert (await client.put(TENANT, json={"after_days": 1})).status_code == 403
        assert (await client.delete(TENANT)).status_code == 403


async def test_another_tenant_neither_sees_nor_changes_it(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    own = await collection(client, "own")
    await client.put(TENANT, json={"after_days": 7})
    await client.put(own, json={"after_days": 7})
    assert (await stranger.get(TENANT)).json() == NOTHING
    assert (await stranger.get(own)).status_code == 404
    assert (await stranger.put(own, json={"after_days": 1})).status_code == 404
    assert (await stranger.delete(own)).status_code == 404
    assert (await stranger.delete(TENANT)).status_code == 404
    assert (await client.get(own)).json()["after_days"] == 7


async def test_a_collection_takes_its_policy_with_it(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    own = await collection(client, "own")
    await client.put(own, json={"after_days": 7})
    assert (await client.delete(own.removesuffix("/tier-policy"))).status_code == 204
    with psycopg.connect(postgres_dsn) as connection:
        left = connection.execute(
            "SELECT count(*) FROM tier_policy WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert left == (0,)
