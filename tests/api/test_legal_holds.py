"""Legal holds: what they keep at every door, whoever asks; how they are placed, released and shown."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import psycopg
import pytest

from db.queries.preservation import lock_holds
from db.session import Database
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant

PATH = "/v1/legal-holds"
PRESERVED = "urn:muniment:problem:preserved"

Door = Callable[[httpx.AsyncClient, dict[str, str]], Awaitable[httpx.Response]]

DOORS: dict[str, Door] = {
    "trash": lambda client, ids: client.delete(f"/v1/files/{ids['file']}"),
    "erase": lambda client, ids: client.delete(f"/v1/files/{ids['file']}?permanent=true"),
    "rename": lambda client, ids: client.patch(f"/v1/files/{ids['file']}", json={"name": "b"}),
    "label": lambda client, ids: client.patch(f"/v1/files/{ids['file']}", json={"labels": ["b"]}),
    "describe": lambda client, ids: client.patch(
        f"/v1/files/{ids['file']}", json={"metadata": {"a": 1}}
    ),
    "move": lambda client, ids: client.patch(
        f"/v1/files/{ids['file']}", json={"collection": "default"}
    ),
    "new version": lambda client, ids: client.post(
        f"/v1/files/{ids['file']}/versions?name=a.txt", content=b"another"
    ),
    "same name": lambda client, ids: client.post(
        f"/v1/files?name=a.txt&collection={ids['collection']}&on_conflict=version",
        content=b"another",
    ),
    "reprocess": lambda client, ids: client.post(f"/v1/files/{ids['file']}/reprocess"),
    "OpenAI's clients": lambda client, ids: client.delete(
        f"/openai/v1/files/file-{ids['file'].replace('-', '')}"
    ),
    "attributes": lambda client, ids: client.post(
        f"/openai/v1/vector_stores/vs_{ids['collection'].replace('-', '')}"
        f"/files/file-{ids['file'].replace('-', '')}",
        json={"attributes": {"a": 1}},
    ),
    "collection": lambda client, ids: client.delete(f"/v1/collections/{ids['empty']}"),
}


async def _things(client: httpx.AsyncClient, postgres_dsn: str) -> dict[str, str]:
    """A file whose job is over, in a collection of its own, and a collection that is empty."""
    names = [
        (await client.post("/v1/collections", json={"name": name})).json() for name in ("c", "d")
    ]
    made = await client.post(f"/v1/files?name=a.txt&collection={names[0]['id']}", content=b"mine")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'completed', started_at = now(), finished_at = now()"
            " WHERE file_id = %s",
            (made.json()["id"],),
        )
    return {
        "file": made.json()["id"],
        "collection": names[0]["id"],
        "empty": names[1]["id"],
    }


async def _place(
    client: httpx.AsyncClient, *items: dict[str, object], **more: object
) -> dict[str, str]:
    body = {"matter": "Harbour v. Quay", "items": list(items), **more}
    placed = await client.post(PATH, json=body)
    assert placed.status_code == 201, placed.text
    found: dict[str, str] = placed.json()
    return found


@pytest.mark.parametrize("door", DOORS)
async def test_no_door_changes_what_is_held(
    client: httpx.AsyncClient, postgres_dsn: str, door: str
) -> None:
    things = await _things(client, postgres_dsn)
    before = (await client.get(f"/v1/files/{things['file']}")).json()
    hold = await _place(client, {"file_id": things["file"]}, {"collection_id": things["empty"]})
    answer = await DOORS[door](client, things)
    assert answer.status_code == 409, answer.text
    assert "legal hold" in answer.text
    assert "Harbour" not in answer.text
    if "error" not in answer.json():
        assert answer.json()["type"] == PRESERVED
    after = (await client.get(f"/v1/files/{things['file']}")).json()
    assert after == before | {"held": True, "holds": [hold["id"]]}
    content = await client.get(f"/v1/files/{things['file']}/content")
    assert content.content == b"mine"


async def test_every_kind_of_item_holds_and_a_release_cools_off(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    path = f"/v1/files/{things['file']}"
    given = {"metadata": {"customer": ["x", "4711"], "matter": "A"}, "labels": ["contract"]}
    assert (await client.patch(path, json=given)).status_code == 200
    items: list[dict[str, object]] = [
        {"file_id": things["file"]},
        {"collection_id": things["collection"]},
        {"query": {"label": "contract", "metadata": {"matter": "A"}, "name_contains": "A.TX"}},
        {"query": {"created_from": "2000-01-01T00:00:00Z", "collection_id": things["collection"]}},
        {"subject": {"field": "customer", "value": "4711"}},
    ]
    for item in items:
        hold = await _place(client, item, cooling_off_days=0)
        assert (await client.get(path)).json()["holds"] == [hold["id"]], item
        released = (await client.post(f"{PATH}/{hold['id']}/release")).json()
        assert released["state"] == "released"
        assert (await client.get(path)).json()["holds"] == []
    for other in ({"label": "other"}, {"metadata": {"matter": "B"}}, {"name_contains": "b"}):
        await _place(client, {"query": other})
    await _place(client, {"subject": {"field": "customer", "value": "47"}})
    assert (await client.get(path)).json()["holds"] == []
    cooling = await _place(client, items[0])
    released = (await client.post(f"{PATH}/{cooling['id']}/release")).json()
    again = (await client.post(f"{PATH}/{cooling['id']}/release")).json()
    assert (released["state"], again) == ("cooling_off", released)
    assert (await client.delete(path)).status_code == 409


async def test_several_holds_keep_a_file_until_the_last_is_released(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    path = f"/v1/files/{things['file']}"
    holds = [
        await _place(client, {"file_id": things["file"]}, cooling_off_days=0) for _ in range(2)
    ]
    assert (await client.get(path)).json()["holds"] == [each["id"] for each in holds]
    await client.post(f"{PATH}/{holds[0]['id']}/release")
    assert (await client.delete(path)).status_code == 409
    await client.post(f"{PATH}/{holds[1]['id']}/release")
    assert (await client.delete(path)).status_code == 200


async def test_what_came_out_of_a_held_file_is_held_and_keeps_what_it_came_out_of(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    others = [await client.post(f"/v1/files?name={n}", content=b"x") for n in ("z.zip", "y.zip")]
    (parent, other) = [each.json()["id"] for each in others]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE file SET parent_id = %s, root_id = %s WHERE id = %s",
            (parent, parent, things["file"]),
        )
    hold = await _place(client, {"file_id": parent}, cooling_off_days=0)
    assert (await client.delete(f"/v1/files/{things['file']}")).status_code == 409
    await client.post(f"{PATH}/{hold['id']}/release")
    await _place(client, {"file_id": things["file"]})
    for query in ("", "?permanent=true"):
        assert (await client.delete(f"/v1/files/{parent}{query}")).status_code == 409
    assert (await client.delete(f"/v1/files/{other}")).status_code == 200


async def test_an_erasure_by_law_waits_and_what_it_is_of_is_out_of_sight(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    await _place(client, {"collection_id": things["collection"]})
    body = {"file_id": things["file"]}
    asked = await client.post("/v1/erasures", json=body)
    assert (asked.status_code, asked.json()["state"]) == (202, "held"), asked.text
    assert asked.headers["Location"] == f"/v1/erasures/{asked.json()['id']}"
    shown = (await client.get(f"/v1/erasures/{asked.json()['id']}")).json()
    assert shown == asked.json()
    assert (await client.get("/v1/erasures")).json()["data"] == [shown]
    file = (await client.get(f"/v1/files/{things['file']}")).json()
    assert file["state"] == "restricted"
    assert (await client.get("/v1/files")).json()["data"] == []
    assert (await client.post("/v1/erasures", json=body)).status_code == 409
    for door in ("trash", "erase", "rename", "new version", "reprocess"):
        assert (await DOORS[door](client, things)).status_code == 409, door


async def test_a_hold_waits_for_an_act_that_asked_before_it_and_stops_the_next(
    client: httpx.AsyncClient, postgres_dsn: str, database: Database, tenant: TenantFixture
) -> None:
    """Both orders, each with the other one in the middle of its transaction."""
    things = await _things(client, postgres_dsn)
    lock = "hashtextextended('legal_hold:' || %s, 0)"
    with psycopg.connect(postgres_dsn) as act:
        act.execute(f"SELECT pg_advisory_xact_lock_shared({lock})", (str(tenant.tenant_id),))
        placing = asyncio.create_task(_place(client, {"file_id": things["file"]}))
        await asyncio.sleep(0.5)
        assert not placing.done()
    await placing
    async with database.transaction(tenant.access) as session:
        await lock_holds(session)
        trashing = asyncio.create_task(DOORS["trash"](client, things))
        await asyncio.sleep(0.5)
        assert not trashing.done()
    assert (await trashing).status_code == 409


async def test_whichever_is_first_a_held_file_is_never_trashed(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    for _ in range(5):
        made = (await client.post("/v1/files?name=r.txt", content=b"raced")).json()
        async with asyncio.TaskGroup() as group:
            trashing = group.create_task(client.delete(f"/v1/files/{made['id']}"))
            group.create_task(_place(client, {"file_id": made["id"]}))
        file = (await client.get(f"/v1/files/{made['id']}")).json()
        assert (file["state"] == "trashed") == (trashing.result().status_code == 200)
        assert (await client.delete(f"/v1/files/{made['id']}?permanent=true")).status_code == 409


async def test_others_learn_nothing_of_a_tenants_holds(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    hold = await _place(client, {"file_id": things["file"]})
    path = f"{PATH}/{hold['id']}"
    assert (await stranger.get(PATH)).json()["data"] == []
    for answer in [
        await stranger.get(path),
        await stranger.get(f"{path}/items"),
        await stranger.get(f"{path}/export"),
        await stranger.post(f"{path}/items", json={"items": [{"query": {"label": "x"}}]}),
        await stranger.post(f"{path}/release"),
        await stranger.post(f"{path}/acknowledge"),
        await stranger.post("/v1/erasures", json={"file_id": things["file"]}),
    ]:
        assert answer.status_code == 404, answer.text
    for item in ({"file_id": things["file"]}, {"collection_id": things["collection"]}):
        refused = await stranger.post(PATH, json={"matter": "x", "items": [item]})
        assert refused.status_code == 422
    placed = await stranger.post(
        PATH, json={"matter": "x", "items": [{"query": {"name_contains": "a"}}]}
    )
    assert placed.json()["files"] == 0


async def test_who_does_not_manage_holds_sees_that_a_file_is_held_and_not_by_which(
    client: httpx.AsyncClient, api: ApiProcess, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    path = f"/v1/files/{things['file']}"
    hold = await _place(client, {"file_id": things["file"]})
    scopes = {"name": "reader", "scopes": ["files:read", "files:write"]}
    made = await client.post("/v1/api-keys", json=scopes)
    async with client_of(api, made.json()["secret"]) as reader:
        listed = (await reader.get("/v1/files")).json()["data"]
        again = await reader.post(
            f"/v1/files?name=a.txt&collection={things['collection']}", content=b"mine"
        )
        for shown in ((await reader.get(path)).json(), *listed, again.json()):
            assert (shown["held"], shown["holds"]) == (True, [])
    shown = (await client.get(path)).json()
    assert (shown["held"], shown["holds"]) == (True, [hold["id"]])


async def test_an_erasure_that_is_asked_for_again_with_its_key_is_the_same(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    await _place(client, {"file_id": things["file"]})
    body, key = {"file_id": things["file"]}, {"Idempotency-Key": "by-law"}
    first = await client.post("/v1/erasures", json=body, headers=key)
    again = await client.post("/v1/erasures", json=body, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert len((await client.get("/v1/erasures")).json()["data"]) == 1


async def test_a_hold_is_placed_while_somebody_has_the_files_row(
    client: httpx.AsyncClient, postgres_dsn: str, tenant: TenantFixture
) -> None:
    """As every door does: the row first, then what keeps it. Neither waits for the other's end."""
    things = await _things(client, postgres_dsn)
    with psycopg.connect(postgres_dsn) as door:
        door.execute("SELECT FROM file WHERE id = %s FOR UPDATE", (things["file"],))
        hold = await _place(client, {"file_id": things["file"]}, {"query": {"name_contains": "a"}})
        door.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended('legal_hold:' || %s, 0))",
            (str(tenant.tenant_id),),
        )
    shown = (await client.get(f"/v1/files/{things['file']}")).json()
    assert shown["holds"] == [hold["id"]]


async def test_who_waits_behind_a_hold_being_placed_ends_nobody(
    client: httpx.AsyncClient, postgres_dsn: str, tenant: TenantFixture
) -> None:
    """One has a file's row and waits behind the hold, which waits for another, who wants the row."""
    things = await _things(client, postgres_dsn)
    async with AsyncExitStack() as connections:
        before, behind = [
            await connections.enter_async_context(
                await psycopg.AsyncConnection.connect(postgres_dsn)
            )
            for _ in range(2)
        ]
        row = ("SELECT FROM file WHERE id = %s FOR UPDATE", (things["file"],))
        await behind.execute(*row)
        await _ask(before, tenant)
        placing = asyncio.create_task(_place(client, {"query": {"label": "x"}}))
        await asyncio.sleep(1)
        async with asyncio.TaskGroup() as both:
            both.create_task(before.execute(*row))
            await _ask(behind, tenant)
            await behind.commit()
        await before.commit()
        await placing


async def test_a_hold_gets_between_changes_of_which_there_is_always_one(
    client: httpx.AsyncClient, postgres_dsn: str, tenant: TenantFixture
) -> None:
    """As two workers that read large files anew, one after another."""
    things = await _things(client, postgres_dsn)
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as first:
        await _ask(first, tenant)
        changes = asyncio.create_task(_take_turns(postgres_dsn, tenant))
        await asyncio.sleep(0.5)
    try:
        await _place(client, {"file_id": things["file"]})
    finally:
        changes.cancel()


async def _take_turns(postgres_dsn: str, tenant: TenantFixture) -> None:
    """Each act goes on until the next has begun, or for a second."""
    async with AsyncExitStack() as former:
        while True:
            connection = await psycopg.AsyncConnection.connect(postgres_dsn)
            asking = asyncio.create_task(_ask(connection, tenant))
            await asyncio.wait([asking], timeout=1)
            await former.aclose()
            await asking
            await former.enter_async_context(connection)
            await asyncio.sleep(0.1)


async def _ask(connection: psycopg.AsyncConnection, tenant: TenantFixture) -> None:
    """As `standing_preservations`, with which every change begins."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended('legal_hold:' || %s, 0))",
        (str(tenant.tenant_id),),
    )


@pytest.mark.slow
async def test_placing_that_others_never_let_through_is_told_to_try_again(
    client: httpx.AsyncClient, postgres_dsn: str, tenant: TenantFixture
) -> None:
    """Meanwhile changes of the tenant go on: whoever places waits in short turns."""
    things = await _things(client, postgres_dsn)
    lock = "SELECT pg_advisory_xact_lock_shared(hashtextextended('legal_hold:' || %s, 0))"
    body = {"matter": "Harbour v. Quay", "items": [{"file_id": things["file"]}]}
    with psycopg.connect(postgres_dsn) as other:
        other.execute(lock, (str(tenant.tenant_id),))
        placing = asyncio.create_task(client.post(PATH, json=body))
        renamed = await client.patch(f"/v1/files/{things['file']}", json={"name": "b.txt"})
        assert renamed.status_code == 200
        assert not placing.done()
        refused = await placing
    assert refused.status_code == 503
    assert "Try again" in refused.json()["remedy"]
    assert (await client.get(PATH)).json()["data"] == []
    assert (await client.post(PATH, json=body)).status_code == 201


async def test_a_custodian_is_told_acknowledges_and_needs_no_right_for_it(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn, tenant.name, principal="custodian", is_admin=False)
    hold = await _place(client, {"query": {"label": "x"}}, custodians=[str(made.principal_id)])
    async with client_of(api, made.api_key) as custodian:
        (notice,) = (await custodian.get(f"{PATH}/notices")).json()["data"]
        assert (notice["hold_id"], notice["acknowledged_at"]) == (hold["id"], None)
        first = await custodian.post(f"{PATH}/{hold['id']}/acknowledge")
        again = await custodian.post(f"{PATH}/{hold['id']}/acknowledge")
        assert (first.status_code, again.json()) == (200, first.json())
    # Whoever is no custodian of it is not told whether it is there.
    assert (await client.post(f"{PATH}/{hold['id']}/acknowledge")).status_code == 404
    (shown,) = (await client.get(f"{PATH}/{hold['id']}")).json()["custodians"]
    assert shown["acknowledged_at"] is not None
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("legal_hold.acknowledged") == 1


async def test_the_export_has_what_happened_to_members_of_what_is_held(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    names = ("archive.zip", "inner.zip", "letter.txt", "another.txt")
    made = [await client.post(f"/v1/files?name={name}", content=name.encode()) for name in names]
    archive, inner, letter, other = (each.json()["id"] for each in made)
    with psycopg.connect(postgres_dsn) as connection:
        for parent, member in ((archive, inner), (inner, letter)):
            connection.execute(
                "UPDATE file SET parent_id = %s, root_id = %s WHERE id = %s",
                (parent, archive, member),
            )
    hold = await _place(client, {"file_id": archive})
    for file_id in (letter, other):
        asked = await client.post("/v1/erasures", json={"file_id": file_id})
        assert asked.status_code == 202
    exported = await client.get(f"{PATH}/{hold['id']}/export")
    events = [json.loads(line) for line in exported.text.splitlines()]
    told = {each["object_id"] for each in events if each["action"] == "file.erasure_requested"}
    assert told == {letter}


async def test_the_export_has_the_matters_events_and_its_files(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    things = await _things(client, postgres_dsn)
    hold = await _place(client, {"collection_id": things["collection"]})
    added = await client.post(
        f"{PATH}/{hold['id']}/items", json={"items": [{"file_id": things["file"]}]}
    )
    assert added.status_code == 201, added.text
    assert len((await client.get(f"{PATH}/{hold['id']}/items")).json()["data"]) == 2
    await client.get(f"/v1/files/{things['file']}/content")
    await client.post("/v1/erasures", json={"file_id": things["file"]})
    await client.post(f"{PATH}/{hold['id']}/release")
    late = await client.post(
        f"{PATH}/{hold['id']}/items", json={"items": [{"file_id": things["file"]}]}
    )
    assert late.status_code == 409
    exported = await client.get(f"{PATH}/{hold['id']}/export")
    assert exported.headers["Content-Type"].startswith("application/x-ndjson")
    actions = [json.loads(line)["action"] for line in exported.text.splitlines()]
    kept = [action for action in actions if not action.startswith("file.content")]
    assert [each for each in kept if each.startswith("legal_hold")] == [
        "legal_hold.item_added",
        "legal_hold.placed",
        "legal_hold.item_added",
        "legal_hold.released",
        "legal_hold.exported",
    ]
    assert "file.erasure_requested" in kept
    assert "file.created" not in kept


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"matter": ""},
        {"matter": "x\0"},
        {"matter": "x", "items": [{}]},
        {"matter": "x", "items": [{"query": {}}]},
        {"matter": "x", "items": [{"query": {"metadata": {}}}]},
        {"matter": "x", "items": [{"query": {"created_from": "2000-01-01T00:00:00"}}]},
        {
            "matter": "x",
            "items": [{"query": {"label": "a"}, "subject": {"field": "a", "value": "b"}}],
        },
        {"matter": "x", "items": [{"file_id": "00000000-0000-7000-8000-000000000000"}]},
        {"matter": "x", "items": [{"query": {"label": "a"}}] * 101},
        {"matter": "x", "custodians": ["00000000-0000-7000-8000-000000000000"]},
        {"matter": "x", "cooling_off_days": -1},
        {"matter": "x", "reminder_days": 0},
    ],
)
async def test_what_is_no_hold_is_refused(client: httpx.AsyncClient, body: object) -> None:
    assert (await client.post(PATH, json=body)).status_code == 422
    assert (await client.get(PATH)).json()["data"] == []


async def test_a_hold_needs_its_scope(client: httpx.AsyncClient, api: ApiProcess) -> None:
    made = await client.post("/v1/api-keys", json={"name": "k", "scopes": ["files:delete"]})
    async with client_of(api, made.json()["secret"]) as other:
        assert (await other.get(PATH)).status_code == 403
        assert (await other.post(PATH, json={"matter": "x"})).status_code == 403
