"""Share links, as those who make them manage them."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import Request
from pydantic import SecretStr

from api.authentication import Caller
from api.services import Services
from api.shares.endpoints import create_share
from api.shares.schemas import NewShare
from db.queries.erasure import erase_shares
from db.session import Database
from muniment.client import AsyncMuniment, Muniment, Share
from muniment.errors import NotFound
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.api.sharing import change, clean_file, scanned, share, visitor
from tests.conftest import TenantFixture, make_tenant

SCOPES = ("shares:manage", "files:read", "files:write")


@pytest.fixture
async def file_id(client: httpx.AsyncClient, postgres_dsn: str) -> str:
    return await clean_file(client, postgres_dsn)


async def test_a_link_is_shown_once_and_works(
    api: ApiProcess, client: httpx.AsyncClient, file_id: str
) -> None:
    made = await client.post("/v1/shares", json={"file_id": file_id})
    assert made.status_code == 201
    body = made.json()
    url = body.pop("url")
    assert url.startswith(f"{api.url}/s/mus_")
    assert made.headers["Location"] == f"/v1/shares/{body['id']}"
    shown = await client.get(made.headers["Location"])
    assert shown.json() == body
    lives = datetime.fromisoformat(body["expires_at"]) - datetime.fromisoformat(body["created_at"])
    assert abs(lives - timedelta(days=30)) < timedelta(minutes=1)
    async with visitor(api) as anybody:
        assert (await anybody.get(url)).status_code == 200


async def test_a_repetition_makes_no_second_link_and_tells_no_token(
    client: httpx.AsyncClient, file_id: str
) -> None:
    body = {"file_id": file_id, "password": "correct horse battery"}
    first, second = [
        await client.post("/v1/shares", json=body, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == {**first.json(), "url": None}
    assert len((await client.get("/v1/shares")).json()["data"]) == 1
    for another in ({**body, "max_downloads": 1}, {"file_id": file_id}):
        other = await client.post("/v1/shares", json=another, headers={"Idempotency-Key": "once"})
        assert other.status_code == 422


async def test_nothing_secret_is_kept(
    client: httpx.AsyncClient, file_id: str, tenant: TenantFixture, postgres_dsn: str
) -> None:
    link = await share(client, file_id, password="correct horse battery")
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT row_to_json(share_link)::text FROM share_link WHERE tenant_id = %s"
            " UNION ALL SELECT row_to_json(audit_event)::text FROM audit_event WHERE tenant_id = %s"
            " UNION ALL SELECT row_to_json(idempotency_key)::text FROM idempotency_key",
            (tenant.tenant_id, tenant.tenant_id),
        ).fetchall()
    kept = "\n".join(row[0] for row in rows)
    assert link.id in kept
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in kept
    assert link.token not in kept
    assert "correct horse" not in kept
    for path in ("/v1/shares", f"/v1/shares/{link.id}", "/v1/audit"):
        told = (await client.get(path)).text
        assert link.token not in told
        assert "argon2" not in told


async def test_a_list_goes_page_by_page_and_by_file(
    client: httpx.AsyncClient, file_id: str, postgres_dsn: str
) -> None:
    other = await clean_file(client, postgres_dsn, "other.pdf", b"other")
    links = [await share(client, file_id) for _ in range(3)]
    one_more = await share(client, other)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        parameters = {"limit": "2", "cursor": cursor} if cursor else {"limit": "2"}
        page = (await client.get("/v1/shares", params=parameters)).json()
        seen += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
    assert seen == [one_more.id, *(link.id for link in reversed(links))]
    by_file = await client.get("/v1/shares", params={"file_id": other})
    assert [each["id"] for each in by_file.json()["data"]] == [one_more.id]


async def test_a_share_is_its_makers_and_the_administrators(
    api: ApiProcess,
    client: httpx.AsyncClient,
    file_id: str,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    keys = [
        make_tenant(
            postgres_dsn, tenant.name, principal=name, is_admin=False, scopes=SCOPES
        ).api_key
        for name in ("maker", "colleague")
    ]
    async with client_of(api, keys[0]) as maker, client_of(api, keys[1]) as colleague:
        link = await share(maker, file_id)
        path = f"/v1/shares/{link.id}"
        assert (await colleague.get("/v1/shares")).json()["data"] == []
        for answer in (
            await colleague.get(path),
            await colleague.patch(path, json={"max_downloads": 1}),
            await colleague.delete(path),
        ):
            assert answer.status_code == 404
        assert [each["id"] for each in (await client.get("/v1/shares")).json()["data"]] == [link.id]
        assert (await client.delete(path)).status_code == 200
        assert (await maker.get(path)).json()["revoked_at"] is not None


async def test_a_file_that_the_caller_cannot_read_is_not_shared(
    api: ApiProcess,
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    file_id: str,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    assert (await stranger.post("/v1/shares", json={"file_id": file_id})).status_code == 404
    key = make_tenant(
        postgres_dsn, tenant.name, principal="member", is_admin=False, scopes=SCOPES
    ).api_key
    private = await client.post("/v1/collections", json={"name": "p", "visibility": "private"})
    moved = await client.patch(f"/v1/files/{file_id}", json={"collection": private.json()["id"]})
    assert moved.status_code == 200, moved.text
    async with client_of(api, key) as member:
        assert (await member.post("/v1/shares", json={"file_id": file_id})).status_code == 404


async def test_a_key_that_reads_nothing_makes_itself_no_way_to_read(
    api: ApiProcess, file_id: str, tenant: TenantFixture, postgres_dsn: str
) -> None:
    key = make_tenant(
        postgres_dsn, tenant.name, principal="manager", is_admin=True, scopes=("shares:manage",)
    ).api_key
    async with client_of(api, key) as manager:
        refused = await manager.post("/v1/shares", json={"file_id": file_id})
        assert refused.status_code == 403
        assert "files:read" in refused.json()["detail"]
        assert (await manager.get("/v1/shares")).status_code == 200


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": (datetime.now(UTC) + timedelta(days=366)).isoformat()}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "body.expires_at"),
        ({"password": "short"}, "body.password"),
        ({"networks": ["192.0.2.0/33"]}, "body.networks.0"),
        ({"networks": ["intranet"]}, "body.networks.0"),
        ({"max_downloads": 0}, "body.max_downloads"),
        ({"version": 2**40}, "body.version"),
        ({"recipient": "x"}, "body.recipient"),
    ],
)
async def test_what_is_wrong_is_named(
    client: httpx.AsyncClient, file_id: str, fields: dict[str, object], named: str
) -> None:
    answer = await client.post("/v1/shares", json={"file_id": file_id, **fields})
    assert answer.status_code == 422, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [named]
    assert "short" not in answer.text


async def test_no_password_is_hashed_for_a_file_that_there_is_not(
    database: Database, tenant: TenantFixture
) -> None:
    hashed: list[str] = []

    async def hash_password(password: str) -> str:
        hashed.append(password)
        return password

    sharing = SimpleNamespace(
        enabled=True,
        passwords=SimpleNamespace(hash=hash_password),
        default_life=timedelta(days=1),
        longest_life=timedelta(days=1),
        requires_clean=True,
    )
    services = cast(Services, SimpleNamespace(database=database, sharing=sharing))
    scopes = frozenset({"shares:manage", "files:read"})
    caller = Caller(tenant.tenant_id, tenant.principal_id, uuid4(), scopes, is_admin=True)
    body = NewShare(file_id=uuid4(), password=SecretStr("correct horse battery"))
    request = Request({"type": "http", "method": "POST", "path": "/v1/shares", "headers": []})
    with pytest.raises(NotFound):
        await create_share(body, request, services, caller)
    assert hashed == []


async def test_a_version_that_there_is_not_is_404(client: httpx.AsyncClient, file_id: str) -> None:
    answer = await client.post("/v1/shares", json={"file_id": file_id, "version": 7})
    assert answer.status_code == 404


@pytest.mark.parametrize("state", ["infected", "unscannable", "unscanned"])
async def test_what_was_found_not_to_be_clean_is_not_shared(
    client: httpx.AsyncClient, file_id: str, postgres_dsn: str, state: str
) -> None:
    scanned(postgres_dsn, file_id, state)
    answer = await client.post("/v1/shares", json={"file_id": file_id})
    assert answer.status_code == 409
    assert "MUNIMENT_SHARING__REQUIRE_CLEAN" in answer.json()["remedy"]


@pytest.mark.parametrize("state", ["trashed", "quarantined", "rejected", "restricted"])
async def test_what_is_withheld_is_not_shared_even_by_who_may_decide(
    client: httpx.AsyncClient, file_id: str, postgres_dsn: str, state: str
) -> None:
    change(postgres_dsn, "UPDATE file SET state = %s WHERE id = %s", state, file_id)
    answer = await client.post("/v1/shares", json={"file_id": file_id})
    assert answer.status_code == 409
    assert state in answer.json()["detail"]


async def test_a_change_asks_for_the_present_state(
    client: httpx.AsyncClient, file_id: str, tenant: TenantFixture, postgres_dsn: str
) -> None:
    link = await share(client, file_id, password="correct horse battery", max_downloads=2)
    path = f"/v1/shares/{link.id}"
    tag = (await client.get(path)).headers["ETag"]
    changed = await client.patch(
        path, json={"networks": ["192.0.2.7/24"]}, headers={"If-Match": tag}
    )
    assert changed.status_code == 200
    body = changed.json()
    assert body["networks"] == ["192.0.2.0/24"]
    assert (body["has_password"], body["max_downloads"]) == (True, 2), "what is absent stays"
    late = await client.patch(path, json={"max_downloads": 1}, headers={"If-Match": tag})
    assert late.status_code == 412
    freed = await client.patch(
        path,
        json={"password": None, "max_downloads": None, "networks": []},
        headers={"If-Match": changed.headers["ETag"]},
    )
    body = freed.json()
    assert (body["has_password"], body["max_downloads"], body["networks"]) == (False, None, [])
    past = await client.patch(path, json={"expires_at": "2020-01-01T00:00:00Z"})
    assert past.status_code == 422
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("share.changed") == 2


async def test_a_change_of_nothing_is_none(
    client: httpx.AsyncClient, file_id: str, tenant: TenantFixture, postgres_dsn: str
) -> None:
    link = await share(client, file_id)
    path = f"/v1/shares/{link.id}"
    before = await client.get(path)
    for field in ("expires_at", "networks"):
        refused = await client.patch(path, json={field: None})
        assert refused.status_code == 422
        assert [each["field"] for each in refused.json()["errors"]] == [f"body.{field}"]
    same = await client.patch(path, json={})
    assert (same.status_code, same.json()) == (200, before.json())
    assert same.headers["ETag"] == before.headers["ETag"]
    assert "share.changed" not in audit_actions(postgres_dsn, tenant.tenant_id)


async def test_what_is_an_older_network_written_as_a_newer_one_is_understood(
    client: httpx.AsyncClient, file_id: str
) -> None:
    link = await share(client, file_id, networks=["::ffff:192.0.2.0/120", "::ffff:192.0.2.7"])
    shown = (await client.get(f"/v1/shares/{link.id}")).json()
    assert shown["networks"] == ["192.0.2.0/24", "192.0.2.7/32"]


async def test_what_is_revoked_stays_so(
    client: httpx.AsyncClient, file_id: str, tenant: TenantFixture, postgres_dsn: str
) -> None:
    link = await share(client, file_id)
    path = f"/v1/shares/{link.id}"
    first, second = await client.delete(path), await client.delete(path)
    assert first.json() == second.json()
    assert first.json()["revoked_at"] is not None
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await client.patch(path, json={"expires_at": later})).status_code == 409
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("share.revoked") == 1


async def test_an_erasure_forgets_the_links_of_its_file_alone(
    client: httpx.AsyncClient,
    file_id: str,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    other = await clean_file(client, postgres_dsn, "other.pdf", b"other")
    link, kept = await share(client, file_id), await share(client, other)
    async with database.transaction(tenant.system) as session:
        found = (await client.get(f"/v1/shares/{link.id}")).json()["file_id"]
        await erase_shares(session, found)
    left = (await client.get("/v1/shares")).json()["data"]
    assert [each["id"] for each in left] == [kept.id]


async def test_sharing_can_be_switched_off(
    api: ApiProcess,
    api_environment: dict[str, str],
    client: httpx.AsyncClient,
    file_id: str,
    tenant: TenantFixture,
) -> None:
    link = await share(client, file_id)
    without = start_api(api.home, {**api_environment, "MUNIMENT_SHARING__ENABLED": "false"})
    try:
        async with visitor(without) as anybody, client_of(without, tenant.api_key) as maker:
            for path in (link.path, link.content):
                assert (await anybody.get(path)).status_code == 404
            refused = await maker.post("/v1/shares", json={"file_id": file_id})
            assert refused.status_code == 403
            assert "MUNIMENT_SHARING__ENABLED" in refused.json()["remedy"]
            assert (await maker.delete(f"/v1/shares/{link.id}")).status_code == 200
    finally:
        assert stop_api(without) == 0


async def test_both_clients_make_and_revoke_links(
    api: ApiProcess, client: httpx.AsyncClient, file_id: str, tenant: TenantFixture
) -> None:
    def with_the_blocking_one() -> Share:
        with Muniment(api.url, tenant.api_key) as muniment:
            made = muniment.shares.create(file_id, password="correct horse battery")
            assert made.url is not None
            shown = muniment.shares.get(made.id)
            assert shown == made.model_copy(update={"url": None, "etag": shown.etag})
            return made

    first = await asyncio.to_thread(with_the_blocking_one)
    assert first.has_password
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        ends = datetime.now(UTC) + timedelta(hours=1)
        second = await muniment.shares.create(
            file_id, version=1, expires_at=ends, networks=["127.0.0.1"], max_downloads=1
        )
        assert (second.expires_at, second.networks) == (ends, ["127.0.0.1/32"])
        listed = await muniment.shares.list(file_id=file_id)
        assert [share.id for share in listed.data] == [second.id, first.id]
        assert (await muniment.shares.revoke(second.id)).revoked_at is not None
    async with visitor(api) as anybody:
        assert (await anybody.get(str(second.url))).status_code == 404
        assert (await anybody.get(str(first.url))).status_code == 200
