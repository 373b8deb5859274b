"""`/v1/webhooks`: endpoints are their makers', secrets are shown once, deliveries can be replayed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from db.models import new_id
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant

URL = "https://example.com/hook"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def create(client: httpx.AsyncClient, **fields: object) -> dict[str, Any]:
    body = {"url": URL, "events": ["file.ready", "job.failed"], **fields}
    answer = await client.post("/v1/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/webhooks/{made['id']}"
    return made


def add_deliveries(
    dsn: str, tenant: TenantFixture, webhook_id: str, states: list[str]
) -> list[str]:
    """Finished or pending ones, an hour apart, the first of them long ago."""
    ids = []
    with psycopg.connect(dsn) as connection:
        for hours, state in enumerate(states):
            event_id, delivery_id = new_id(), new_id()
            at = LONG_AGO + timedelta(hours=hours)
            connection.execute(
                "INSERT INTO webhook_event (id, tenant_id, type, occurred_at, data, dispatched_at)"
                " VALUES (%s, %s, 'file.ready', %s, %s, now())",
                (event_id, tenant.tenant_id, at, Jsonb({"state": "ready"})),
            )
            connection.execute(
                "INSERT INTO webhook_delivery (id, tenant_id, webhook_id, event_id, state, round,"
                " attempts, reason, created_at, started_at)"
                " VALUES (%s, %s, %s, %s, %s, 1, 3, 'refused', %s, now())",
                (delivery_id, tenant.tenant_id, webhook_id, event_id, state, at),
            )
            connection.execute(
                "INSERT INTO webhook_attempt (delivery_id, round, number, tenant_id, at, outcome,"
                " status, duration_ms) VALUES (%s, 1, 3, %s, %s, 'refused', 500, 12)",
                (delivery_id, tenant.tenant_id, at),
            )
            ids.append(str(delivery_id))
    return ids


async def test_a_webhook_from_its_making_to_its_end(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await create(client, description="The archive")
    assert made["secret"].startswith("whsec_")
    path = f"/v1/webhooks/{made['id']}"
    shown = await client.get(path)
    view = shown.json()
    assert {**view, "secret": made["secret"]} == made
    assert "whsec_" not in shown.text
    assert (view["enabled"], view["disabled_reason"]) == (True, None)
    assert view["principal_id"] == str(tenant.principal_id)
    assert [each["scheme"] for each in view["secrets"]] == ["hmac-sha256"]
    etag = shown.headers["ETag"]
    changed = await client.patch(
        path, json={"events": ["file.erased"], "enabled": False}, headers={"If-Match": etag}
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["events"], changed.json()["enabled"]) == (["file.erased"], False)
    assert changed.json()["description"] == "The archive"
    late = await client.patch(path, json={"enabled": True}, headers={"If-Match": etag})
    assert late.status_code == 412
    assert (await client.delete(path)).status_code == 204
    for gone in (await client.get(path), await client.delete(path)):
        assert gone.status_code == 404
    assert (await client.get("/v1/webhooks")).json()["data"] == []
    assert audit_actions(postgres_dsn, tenant.tenant_id) == [
        "webhook.created",
        "webhook.changed",
        "webhook.deleted",
    ]


async def test_a_secret_is_stored_nowhere_in_the_clear(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await create(client)
    secret = made["secret"].removeprefix("whsec_")
    with psycopg.connect(postgres_dsn) as connection:
        dumped = "".join(
            str(connection.execute(f"SELECT * FROM {table}").fetchall())  # type: ignore[arg-type] # noqa: S608 - a constant
            for table in ("webhook", "webhook_secret", "audit_event", "idempotency_key")
        )
    assert secret not in dumped
    assert not any(secret in str(line) for line in api.log_lines)
    assert len(api.stored_objects(tenant.tenant_id)) == 2, "one ciphertext and its key"


async def test_a_repetition_makes_no_second_webhook_and_shows_no_secret(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    body = {"url": URL, "events": ["file.ready"]}
    first = await client.post("/v1/webhooks", json=body, headers=headers)
    again = await client.post("/v1/webhooks", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == {**first.json(), "secret": None}
    other = await client.post("/v1/webhooks", json={**body, "url": URL + "2"}, headers=headers)
    assert other.status_code == 422
    assert len((await client.get("/v1/webhooks")).json()["data"]) == 1
    assert len(api.stored_objects(tenant.tenant_id)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://example.com/"},
        {"url": "https://127.0.0.1/"},
        {"url": "https://localhost/"},
        {"url": "https://Api.LocalHost/"},
        {"url": "https://[::ffff:10.0.0.1]/"},
        {"url": "https://2130706433/"},
        {"url": "https://user:pw@example.com/"},
        {"url": "https://example.com:22/"},
        {"url": "https://example.com/\u0000"},
        {"url": ""},
        {"events": []},
        {"events": ["file.unheard-of"]},
        {"events": ["webhook.test"]},
        {"scheme": "rsa"},
        {"description": "x" * 501},
        {"unknown": 1},
    ],
)
async def test_what_cannot_be_sent_to_is_refused(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, fields: dict[str, object]
) -> None:
    body = {"url": URL, "events": ["file.ready"], **fields}
    answer = await client.post("/v1/webhooks", json=body)
    assert answer.status_code == 422, answer.text
    [field] = fields
    assert any(field in each["field"] for each in answer.json()["errors"]), answer.text
    assert api.stored_objects(tenant.tenant_id) == []
    if field != "scheme":
        made = await create(client)
        changed = await client.patch(f"/v1/webhooks/{made['id']}", json=fields)
        assert changed.status_code == 422, changed.text


async def test_the_public_key_alone_is_shown_of_an_asymmetric_pair(
    client: httpx.AsyncClient,
) -> None:
    made = await create(client, scheme="ed25519")
    assert made["secret"] is None
    assert made["secrets"][0]["public_key"].startswith("whpk_")


async def test_an_exchanged_secret_goes_on_signing_for_a_day(client: httpx.AsyncClient) -> None:
    made = await create(client)
    path = f"/v1/webhooks/{made['id']}/rotate-secret"
    headers = {"Idempotency-Key": str(uuid4())}
    rotated = await client.post(path, headers=headers)
    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["secret"] not in (None, made["secret"])
    [new, old] = rotated.json()["secrets"]
    assert new["expires_at"] is None
    left = datetime.fromisoformat(old["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    again = await client.post(path, headers=headers)
    assert again.json() == {**rotated.json(), "secret": None}
    to_ed25519 = (await client.post(path, json={"scheme": "ed25519"})).json()
    assert [each["scheme"] for each in to_ed25519["secrets"]] == ["ed25519"] + ["hmac-sha256"] * 2
    assert to_ed25519["secrets"][2]["expires_at"] == old["expires_at"], "not prolonged"
    assert (await client.post(path)).json()["secrets"][0]["scheme"] == "ed25519"
    assert (await client.post(path)).status_code == 409


async def test_a_secret_that_leaked_signs_no_more(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    """However many sign already, and although one of them was to go on."""
    made = await create(client)
    path = f"/v1/webhooks/{made['id']}/rotate-secret"
    for _ in range(3):
        await client.post(path)
    assert (await client.post(path)).status_code == 409
    exchanged = await client.post(path, json={"expire_previous_at_once": True})
    assert exchanged.status_code == 200, exchanged.text
    [only] = exchanged.json()["secrets"]
    assert only["expires_at"] is None
    assert (await client.get(f"/v1/webhooks/{made['id']}")).json()["secrets"] == [only]
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("webhook.secret_rotated") == 4


async def test_clicking_twice_at_once_exchanges_in_turn(client: httpx.AsyncClient) -> None:
    made = await create(client)
    path = f"/v1/webhooks/{made['id']}/rotate-secret"
    answers = await asyncio.gather(*(client.post(path) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [200] * 3 + [409] * 3
    secrets = (await client.get(f"/v1/webhooks/{made['id']}")).json()["secrets"]
    assert [each["expires_at"] is None for each in secrets] == [True, False, False, False]


async def test_a_webhook_is_its_makers_and_the_administrators(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    one, two = [
        make_tenant(postgres_dsn, tenant.name, principal=name, is_admin=False)
        for name in ("one", "two")
    ]
    of_admin = await create(client)
    async with client_of(api, one.api_key) as first, client_of(api, two.api_key) as second:
        made = await create(first)
        for foreign in (made["id"], of_admin["id"], str(uuid4())):
            path = f"/v1/webhooks/{foreign}"
            answers = [
                await second.get(path),
                await second.patch(path, json={"url": "https://example.org/"}),
                await second.delete(path),
                await second.post(f"{path}/rotate-secret"),
                await second.post(f"{path}/test"),
                await second.get(f"{path}/deliveries"),
            ]
            assert [each.status_code for each in answers] == [404] * 6
        assert (await second.get("/v1/webhooks")).json()["data"] == []
        assert len((await first.get("/v1/webhooks")).json()["data"]) == 1
    assert len((await client.get("/v1/webhooks")).json()["data"]) == 2
    assert (await client.get(f"/v1/webhooks/{made['id']}")).status_code == 200


async def test_a_list_goes_page_by_page(client: httpx.AsyncClient) -> None:
    made = [(await create(client))["id"] for _ in range(3)]
    first = (await client.get("/v1/webhooks", params={"limit": 2})).json()
    rest = await client.get("/v1/webhooks", params={"limit": 2, "cursor": first["next_cursor"]})
    listed = [each["id"] for each in (*first["data"], *rest.json()["data"])]
    assert listed == made[::-1]
    assert rest.json()["next_cursor"] is None


async def test_the_test_button_makes_a_delivery(client: httpx.AsyncClient) -> None:
    made = await create(client)
    path = f"/v1/webhooks/{made['id']}"
    headers = {"Idempotency-Key": str(uuid4())}
    answer = await client.post(f"{path}/test", headers=headers)
    assert answer.status_code == 202, answer.text
    delivery = answer.json()
    assert (delivery["event"]["type"], delivery["state"]) == ("webhook.test", "pending")
    assert delivery["event"]["data"] == {"webhook_id": made["id"]}
    assert (await client.post(f"{path}/test", headers=headers)).json() == delivery
    assert (await client.get(answer.headers["Location"])).json() == {**delivery, "log": []}
    assert len((await client.get(f"{path}/deliveries")).json()["data"]) == 1
    await client.patch(path, json={"enabled": False})
    assert (await client.post(f"{path}/test")).status_code == 409


async def test_deliveries_are_listed_by_state_and_shown_with_their_attempts(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await create(client)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    states = ["delivered", "failed", "pending", "failed"]
    ids = add_deliveries(postgres_dsn, tenant, made["id"], states)
    listed = (await client.get(path)).json()["data"]
    assert [each["id"] for each in listed] == ids[::-1]
    failed = (await client.get(path, params={"state": "failed", "limit": 1})).json()
    assert [each["id"] for each in failed["data"]] == [ids[3]]
    following = {"state": "failed", "cursor": failed["next_cursor"]}
    assert [each["id"] for each in (await client.get(path, params=following)).json()["data"]] == [
        ids[1]
    ]
    shown = (await client.get(f"{path}/{ids[1]}")).json()
    assert shown["log"] == [
        {
            "round": 1,
            "number": 3,
            "at": "2026-01-01T01:00:00Z",
            "outcome": "refused",
            "status": 500,
            "duration_ms": 12,
        }
    ]
    assert (await client.get(path, params={"state": "lost"})).status_code == 422
    assert (await client.get(path, params={"cursor": "x"})).status_code == 400


async def test_a_delivery_is_replayed_once_however_often_one_clicks(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await create(client)
    [failed, delivered] = add_deliveries(postgres_dsn, tenant, made["id"], ["failed", "delivered"])
    path = f"/v1/webhooks/{made['id']}/deliveries"
    answers = await asyncio.gather(*(client.post(f"{path}/{failed}/replay") for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [202, 409, 409, 409]
    again = (await client.get(f"{path}/{failed}")).json()
    assert (again["state"], again["round"], again["attempts"]) == ("pending", 2, 0)
    assert (again["reason"], again["finished_at"]) == (None, None)
    assert (await client.post(f"{path}/{delivered}/replay")).status_code == 202
    other = await create(client)
    foreign = await client.post(f"/v1/webhooks/{other['id']}/deliveries/{failed}/replay")
    assert foreign.status_code == 404
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("webhook.delivery_replayed") == 2


async def test_a_range_of_time_is_replayed(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await create(client)
    states = ["failed", "failed", "delivered", "pending", "failed"]
    ids = add_deliveries(postgres_dsn, tenant, made["id"], states)
    path = f"/v1/webhooks/{made['id']}"
    wanted = {
        "from": (LONG_AGO + timedelta(hours=1)).isoformat(),
        "to": (LONG_AGO + timedelta(hours=4)).isoformat(),
    }
    first = await client.post(f"{path}/replay", json=wanted)
    assert first.status_code == 202, first.text
    assert first.json() == {"replayed": 1, "next_cursor": None}
    assert (await client.post(f"{path}/replay", json=wanted)).json()["replayed"] == 0
    all_of_them = {**wanted, "only_failed": False}
    assert (await client.post(f"{path}/replay", json=all_of_them)).json()["replayed"] == 1
    listed = {each["id"]: each for each in (await client.get(f"{path}/deliveries")).json()["data"]}
    assert [listed[each]["round"] for each in ids] == [1, 2, 2, 1, 1]
    for wrong in (
        {"from": wanted["to"], "to": wanted["from"]},
        {"from": "2026-01-01T00:00:00", "to": wanted["to"]},
        {"from": wanted["from"]},
        {**wanted, "events": []},
    ):
        assert (await client.post(f"{path}/replay", json=wrong)).status_code == 422
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("webhook.replayed") == 3


async def test_a_replay_that_is_asked_for_again_is_done_once(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await create(client)
    [one, _] = add_deliveries(postgres_dsn, tenant, made["id"], ["failed", "failed"])
    path = f"/v1/webhooks/{made['id']}"
    for route, body in (
        (f"{path}/deliveries/{one}/replay", None),
        (f"{path}/replay", {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}),
    ):
        headers = {"Idempotency-Key": str(uuid4())}
        first = await client.post(route, json=body, headers=headers)
        again = await client.post(route, json=body, headers=headers)
        assert (first.status_code, again.status_code) == (202, 202), again.text
        assert again.json() == first.json()
    assert first.json()["replayed"] == 1
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("webhook.delivery_replayed") == actions.count("webhook.replayed") == 1


async def test_a_replay_fills_an_endpoint_up_to_its_limit_and_no_further(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await create(client)
    add_deliveries(postgres_dsn, tenant, made["id"], ["failed", "failed", "failed"])
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "WITH event AS (INSERT INTO webhook_event (id, tenant_id, type, occurred_at, data,"
            " dispatched_at) SELECT gen_random_uuid(), %(tenant)s, 'file.ready', now(), '{}', now()"
            " FROM generate_series(1, 9998) RETURNING id)"
            " INSERT INTO webhook_delivery (id, tenant_id, webhook_id, event_id, state, round,"
            " attempts, created_at, started_at) SELECT gen_random_uuid(), %(tenant)s, %(webhook)s,"
            " id, 'pending', 1, 0, now(), now() FROM event",
            {"tenant": tenant.tenant_id, "webhook": made["id"]},
        )
    path = f"/v1/webhooks/{made['id']}/replay"
    wanted = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
    first = (await client.post(path, json=wanted)).json()
    assert first["replayed"] == 2
    assert first["next_cursor"] is not None
    assert (await client.post(path, json=wanted)).status_code == 409


async def test_a_replay_takes_a_thousand_and_says_where_it_stopped(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await create(client)
    add_deliveries(postgres_dsn, tenant, made["id"], ["delivered"] * 1_003)
    path = f"/v1/webhooks/{made['id']}/replay"
    wanted = {"from": "2026-01-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "only_failed": False}
    first = (await client.post(path, json=wanted)).json()
    assert first["replayed"] == 1_000
    rest = (await client.post(path, json={**wanted, "cursor": first["next_cursor"]})).json()
    assert rest == {"replayed": 3, "next_cursor": None}


async def test_a_key_without_the_scope_cannot_get_it(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    key = make_tenant(postgres_dsn, tenant.name, principal="p", scopes=("keys:manage",)).api_key
    async with client_of(api, key) as lacking:
        body = {"name": "k", "scopes": ["webhooks:manage"]}
        assert (await lacking.post("/v1/api-keys", json=body)).status_code == 403
