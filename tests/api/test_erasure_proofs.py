"""Whoever has a copy of what was erased is given what proves it, and nobody else is told anything."""

import hashlib
from uuid import UUID

import httpx
import psycopg
from temporalio.testing import ActivityEnvironment

from activities.erasure.activity import Erasure
from activities.erasure.ledger import ErasureLedger
from db.session import Database
from muniment.contracts.erase_file import EraseFileInput
from muniment.erasure_certificates import content_tag
from muniment.settings import KeySettings, ObjectSettings, Settings
from muniment.stores import open_stores
from tests.api.conftest import ApiProcess, audit_actions
from tests.api.test_upload import upload
from tests.conftest import TenantFixture

COPY = b"The vermilion almanac."


async def test_a_copy_is_proved_after_the_file_has_forgotten_its_digest(
    api: ApiProcess,
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    file_id = (await upload(client, COPY, "almanac.txt")).json()["id"]
    order = {"file_id": file_id, "reason": "Request 2026-114"}
    erasure = (await client.post("/v1/erasures", json=order)).json()
    assert erasure["reason"] == "Request 2026-114"
    await _plan(api, database, tenant, erasure)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE file_version SET sha256 = '' WHERE file_id = %s", (file_id,))
        found = connection.execute(
            "SELECT content_tags FROM erasure WHERE id = %s", (erasure["id"],)
        ).fetchone()
    # Asked again, as a repetition of the activity does: what is known is kept.
    await _plan(api, database, tenant, erasure)
    path = f"/v1/erasures/{erasure['id']}/proofs"
    digest = hashlib.sha256(COPY)
    proof = await client.post(path, json={"sha256": digest.hexdigest()})
    assert proof.status_code == 200, proof.text
    tag = content_tag(bytes.fromhex(proof.json()["opening"]), digest.digest())
    assert found == ([tag],)
    assert proof.json()["content"] == tag.hex()
    assert digest.hexdigest() not in proof.text

    guess = {"sha256": hashlib.sha256(b"a guess").hexdigest()}
    assert (await client.post(path, json=guess)).status_code == 404
    assert (await stranger.post(path, json={"sha256": digest.hexdigest()})).status_code == 404
    asked = [
        each
        for each in audit_actions(postgres_dsn, tenant.tenant_id)
        if each == "file.erasure_proved"
    ]
    assert len(asked) == 2, "a guess is on record, too"


async def _plan(
    api: ApiProcess, database: Database, tenant: TenantFixture, erasure: dict[str, str]
) -> None:
    stores = open_stores(
        Settings(
            objects=ObjectSettings(root=api.home / "objects"),
            keys=KeySettings(root=api.home / "keys"),
        )
    )
    ledger = ErasureLedger(stores.erasure_ledger)
    activities = Erasure(database, stores.blobs, ledger, keys=stores.keys)
    request = EraseFileInput(
        tenant_id=tenant.tenant_id, file_id=UUID(erasure["file_id"]), job_id=UUID(erasure["job_id"])
    )
    await ActivityEnvironment().run(activities.plan_erasure, request)
