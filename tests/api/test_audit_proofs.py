"""`/v1/audit/…`: checkpoints, proofs and the export of the sealed trail, which hold for whoever has no more
than those and a key."""

import base64
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from activities.audit.sealing import Sealer
from db.session import Database
from muniment.audit import merkle
from muniment.audit.checkpoints import VerifierKey, opened
from muniment.audit.exported import LINES
from muniment.audit.signing_keys import SigningKeys, load_signing_keys
from muniment.audit.verification import Verification, Verifier
from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return load_signing_keys(tmp_path / "audit-signing.pem", "muniment.test")


@pytest.fixture
def sealer(database: Database, keys: SigningKeys) -> Sealer:
    return Sealer(database, keys)


def decoded(text: str) -> bytes:
    return base64.b64decode(text)


async def test_an_event_is_proven_by_a_checkpoint_and_that_by_a_later_one(
    client: httpx.AsyncClient, tenant: TenantFixture, sealer: Sealer, keys: SigningKeys
) -> None:
    for name in ("a", "b", "c"):
        made = await client.post("/v1/collections", json={"name": name})
    listed = (await client.get("/v1/audit", params={"object": made.json()["id"]})).json()["data"]
    assert listed[0]["seq"] is None
    assert listed[0]["origin"] == "127.0.0.1"
    await sealer.seal(tenant.tenant_id)
    first = (await client.get("/v1/audit/checkpoint")).json()
    await client.post("/v1/collections", json={"name": "d"})
    await sealer.seal(tenant.tenant_id)
    second = (await client.get("/v1/audit/checkpoint", params={"since": first["size"]})).json()
    key = VerifierKey.parsed(second["verifier_key"])
    assert key in keys.verifier_keys
    old, new = opened(first["note"], [key]), opened(second["note"], [key])
    proof = [decoded(each) for each in second["consistency"]]
    assert merkle.is_consistent(old.root, old.size, new.root, new.size, proof)
    listed = (await client.get("/v1/audit", params={"object": made.json()["id"]})).json()["data"]
    seq = listed[0]["seq"]
    for size, checkpoint in ((first["size"], old), (None, new)):
        parameters = {} if size is None else {"size": size}
        shown = (await client.get(f"/v1/audit/proof/{seq}", params=parameters)).json()
        leaf = merkle.leaf_hash(shown["leaf"].encode())
        assert leaf == decoded(shown["leaf_hash"])
        assert listed[0]["id"] in shown["leaf"]
        hashes = [decoded(each) for each in shown["hashes"]]
        assert merkle.includes(checkpoint.root, checkpoint.size, seq, leaf, hashes)


async def test_the_export_is_verified_part_by_part_and_names_what_was_changed(
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
    postgres_dsn: str,
) -> None:
    for name in ("a", "b", "c", "d"):
        await client.post("/v1/collections", json={"name": name})
        await sealer.seal(tenant.tenant_id)
    until = (await client.get("/v1/audit/checkpoint")).json()["size"]

    async def exported() -> list[object]:
        lines, first = [], 0
        while first is not None:
            parameters = {"first": first, "until": until, "limit": 3}
            part = (await client.get("/v1/audit/sealed", params=parameters)).json()
            lines += part["data"]
            first = part["next"]
        return lines

    def verified(lines: list[object]) -> Verifier:
        verifier = Verifier(keys.verifier_keys)
        for line in lines:
            verifier.take(LINES.validate_python(line))
        return verifier

    sound = verified(await exported()).ended()
    assert sound.is_sound
    assert sound.proven == sound.events == until
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "UPDATE audit_event SET action = 'collection.read' FROM audit_leaf"
            " WHERE event_id = audit_event.id AND audit_leaf.tenant_id = %s AND seq = %s RETURNING id",
            (tenant.tenant_id, until - 2),
        ).fetchone()
    found = verified(await exported()).ended()
    assert row is not None
    assert found.first is not None
    assert (found.first.fault, found.first.seq, found.first.event_id) == (
        "changed",
        until - 2,
        row[0],
    )
    actions = [each["action"] for each in (await client.get("/v1/audit")).json()["data"]]
    assert "audit.exported" in actions


async def test_an_event_that_was_put_there_past_the_trigger_is_named(
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
    postgres_dsn: str,
) -> None:
    for name in ("a", "b", "c"):
        await client.post("/v1/collections", json={"name": name})
    events = (await client.get("/v1/audit")).json()["data"]
    await sealer.seal(tenant.tenant_id)
    forged = UUID(int=UUID(events[1]["id"]).int + 1)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "INSERT INTO audit_event (id, tenant_id, at, actor_kind, action, object_type, payload, salt)"
            " VALUES (%s, %s, now(), 'system', 'file.approved', 'file', '{}', '')",
            (forged, tenant.tenant_id),
        )
    verifier, first = Verifier(keys.verifier_keys), 0
    while first is not None:
        parameters = {"first": first, "until": len(events), "limit": 1}
        part = (await client.get("/v1/audit/sealed", params=parameters)).json()
        for line in part["data"]:
            verifier.take(LINES.validate_python(line))
        first = part["next"]
    found = verifier.ended().first
    assert found is not None
    assert (found.fault, found.event_id) == ("inserted", forged)


async def exported(client: httpx.AsyncClient, keys: SigningKeys) -> Verification:
    verifier = Verifier(keys.verifier_keys)
    for line in (await client.get("/v1/audit/sealed")).json()["data"]:
        verifier.take(LINES.validate_python(line))
    return verifier.ended()


async def test_a_last_event_that_is_like_no_other_is_named(
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
    postgres_dsn: str,
) -> None:
    await client.post("/v1/collections", json={"name": "a"})
    await sealer.seal(tenant.tenant_id)
    assert (await exported(client, keys)).is_sound
    forged = UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "INSERT INTO audit_event (id, tenant_id, at, actor_kind, action, object_type, payload, salt)"
            " VALUES (%s, %s, now(), 'system', 'file.approved', 'file', '{}', '')",
            (forged, tenant.tenant_id),
        )
    found = (await exported(client, keys)).first
    assert found is not None
    assert (found.fault, found.event_id) == ("inserted", forged)


@pytest.mark.parametrize("left", [0, 1])
async def test_a_trail_whose_last_leaves_are_gone_is_not_sound(
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
    postgres_dsn: str,
    left: int,
) -> None:
    for name in ("a", "b"):
        await client.post("/v1/collections", json={"name": name})
        await sealer.seal(tenant.tenant_id)
    size = (await client.get("/v1/audit/checkpoint")).json()["size"]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "WITH gone AS (DELETE FROM audit_leaf WHERE tenant_id = %s AND seq >= %s RETURNING event_id)"
            " DELETE FROM audit_event WHERE id IN (SELECT event_id FROM gone)",
            (tenant.tenant_id, (size - 1) * left),
        )
    found = (await exported(client, keys)).first
    assert found is not None
    assert (found.fault, found.seq, found.before) == ("removed", (size - 1) * left, size)
    proof = await client.get(f"/v1/audit/proof/{size - 1}")
    assert proof.json()["type"].endswith("audit-tampered")


async def test_an_event_that_was_removed_before_it_was_sealed_is_named(
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
    postgres_dsn: str,
) -> None:
    made = (await client.post("/v1/collections", json={"name": "a"})).json()["id"]
    await client.post("/v1/collections", json={"name": "b"})
    (event,) = (await client.get("/v1/audit", params={"object": made})).json()["data"]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DELETE FROM audit_event WHERE id = %s", (event["id"],))
    await sealer.seal(tenant.tenant_id)
    found = (await exported(client, keys)).first
    assert found is not None
    assert (found.fault, str(found.event_id)) == ("removed", event["id"])


async def test_a_key_that_reads_the_trail_erases_nothing_of_it(
    client: httpx.AsyncClient, tenant: TenantFixture, sealer: Sealer, api: ApiProcess
) -> None:
    made = await client.post("/v1/api-keys", json={"name": "siem", "scopes": ["audit:read"]})
    await sealer.seal(tenant.tenant_id)
    async with client_of(api, made.json()["secret"]) as reader:
        event = (await reader.get("/v1/audit")).json()["data"][0]
        assert (await reader.delete(f"/v1/audit/{event['id']}/details")).status_code == 403


async def test_what_another_tenant_sealed_is_not_found(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    sealer: Sealer,
) -> None:
    await client.post("/v1/collections", json={"name": "a"})
    await sealer.seal(tenant.tenant_id)
    size = (await client.get("/v1/audit/checkpoint")).json()["size"]
    for path in (
        "/v1/audit/checkpoint",
        f"/v1/audit/checkpoint?size={size}",
        "/v1/audit/proof/0",
        f"/v1/audit/proof/0?size={size}",
        "/v1/audit/sealed",
        f"/v1/audit/sealed?until={size}",
    ):
        assert (await stranger.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/audit/checkpoint?size=0", 422),
        ("/v1/audit/checkpoint?size=9223372036854775807", 404),
        ("/v1/audit/checkpoint?size=9223372036854775808", 422),
        ("/v1/audit/checkpoint?since=9223372036854775807", 400),
        ("/v1/audit/proof/9223372036854775807", 404),
        ("/v1/audit/proof/-1", 422),
        ("/v1/audit/proof/x", 422),
        ("/v1/audit/sealed?limit=1001", 422),
        ("/v1/audit/sealed?first=9223372036854775807", 200),
    ],
)
async def test_sizes_and_places_that_there_are_not(
    client: httpx.AsyncClient, tenant: TenantFixture, sealer: Sealer, path: str, status: int
) -> None:
    await client.post("/v1/collections", json={"name": "a"})
    await sealer.seal(tenant.tenant_id)
    assert (await client.get(path)).status_code == status


async def test_an_administrator_erases_details_once_they_are_sealed(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    sealer: Sealer,
    keys: SigningKeys,
) -> None:
    made = (await client.post("/v1/collections", json={"name": "a"})).json()["id"]
    (event,) = (await client.get("/v1/audit", params={"object": made})).json()["data"]
    path = f"/v1/audit/{event['id']}/details"
    assert (await client.delete(path)).status_code == 409
    await sealer.seal(tenant.tenant_id)
    assert (await stranger.delete(path)).status_code == 404
    assert (await client.delete(f"/v1/audit/{uuid4()}/details")).status_code == 404
    for _ in range(2):
        assert (await client.delete(path)).status_code == 204
    (erased,) = (await client.get("/v1/audit", params={"object": made})).json()["data"]
    assert (erased["payload"], erased["origin"]) == (None, None)
    told = {"object": event["id"], "action": "audit.details_erased"}
    assert len((await client.get("/v1/audit", params=told)).json()["data"]) == 1
    await sealer.seal(tenant.tenant_id)
    verifier = Verifier(keys.verifier_keys)
    for line in (await client.get("/v1/audit/sealed")).json()["data"]:
        verifier.take(LINES.validate_python(line))
    found = verifier.ended()
    assert found.is_sound
    assert found.commitments_erased == 1


async def test_whoever_is_no_administrator_erases_nothing(
    api: ApiProcess,
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    sealer: Sealer,
    postgres_dsn: str,
) -> None:
    await client.post("/v1/collections", json={"name": "a"})
    await sealer.seal(tenant.tenant_id)
    event = (await client.get("/v1/audit")).json()["data"][0]
    auditor = make_tenant(postgres_dsn, tenant.name, principal="auditor", is_admin=False)
    async with client_of(api, auditor.api_key) as other:
        assert (await other.delete(f"/v1/audit/{event['id']}/details")).status_code == 403
