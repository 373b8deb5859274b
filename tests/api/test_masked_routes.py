"""A value that is masked leaves by no route to whoever may not see it; every route is asked."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest

from db.models import FileVersion
from db.queries.findings import replace_findings
from db.session import Database
from muniment.api_keys import ALL_SCOPES
from muniment.contracts.base import VersionReference
from muniment.settings import load_settings
from muniment.stores import Stores, open_stores
from tests.api.annotated import publish_pages
from tests.api.conftest import ApiProcess, client_of
from tests.api.test_findings import TOKEN, judged
from tests.api.things import Things, filled, make_things, routes
from tests.conftest import TenantFixture, make_tenant

CANARY = "canary@example.org"
LINES = [f"Ana Li is reached at {CANARY}, or", "by nobody else."]
ENDLESS = {"/v1/events", "/v1/audit/stream", "/v1/jobs/{job_id}/events"}
"""Streams of what happens, which end with the caller."""
SHOWING = {"content", "text", "pages", "pages/1", "document"}
"""What whoever may see the value is shown it by."""


@dataclass(frozen=True)
class Shown:
    """A masked file whose content holds the canary, one of everything made of it, and who may not see it."""

    things: Things
    share_path: str
    reader: httpx.AsyncClient

    @property
    def file_id(self) -> str:
        return self.things.ids["file_id"]


@pytest.fixture
def stores(api: ApiProcess, monkeypatch: pytest.MonkeyPatch) -> Stores:
    monkeypatch.setenv("MUNIMENT_OBJECTS__ROOT", str(api.home / "objects"))
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(api.home / "keys"))
    return open_stores(load_settings())


@pytest.fixture
async def shown(
    api: ApiProcess,
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
    postgres_dsn: str,
) -> AsyncIterator[Shown]:
    made = await make_things(client)
    new = await client.post("/v1/files?name=letter.txt", content="\n".join(LINES).encode())
    file = new.json()
    version = await publish_pages(database, tenant, stores, UUID(file["id"]), [LINES])
    # Made while it could be: the link is asked again at each use.
    share = await client.post("/v1/shares", json={"file_id": file["id"]})
    annotation = await client.post("/v1/annotations", json={"file_id": file["id"]})
    reference = VersionReference(
        tenant_id=tenant.tenant_id,
        file_id=UUID(file["id"]),
        version_id=version.id,
        job_id=UUID(file["job"]["id"]),
    )
    async with database.transaction(tenant.system) as session:
        (await session.get_one(FileVersion, version.id)).is_masked = True
        finding = judged("\n".join(LINES), CANARY, "EMAIL_ADDRESS", TOKEN)
        await replace_findings(session, reference, [finding])
    listed = (await client.get("/v1/findings", params={"file": file["id"]})).json()["data"]
    hex_id = file["id"].replace("-", "")
    ids = {
        "file_id": file["id"],
        "openai_file_id": f"file-{hex_id}",
        "job_id": file["job"]["id"],
        "annotation_id": annotation.json()["id"],
        "finding_id": listed[0]["id"],
    }
    scopes = tuple(scope for scope in ALL_SCOPES if scope != "findings:reveal")
    other = make_tenant(postgres_dsn, tenant.name, principal="clerk", scopes=scopes)
    path = httpx.URL(share.json()["url"]).path
    async with client_of(api, other.api_key) as reader:
        yield Shown(Things({**made.ids, **ids}), path, reader)


async def test_no_route_that_reads_shows_it(shown: Shown, client: httpx.AsyncClient) -> None:
    asked = 0
    for method, route in routes():
        if method != "GET" or route.path in ENDLESS or "/events" in route.path:
            continue
        path = filled(route.path, shown.things.ids)
        answer = await shown.reader.get(path)
        assert CANARY not in answer.text, path
        assert answer.status_code != 500, path
        asked += 1
    assert asked > 60
    for door in (shown.share_path, f"{shown.share_path}/content"):
        answer = await shown.reader.get(door)
        assert answer.status_code in (404, 409, 410), door
        assert CANARY not in answer.text
    # The same value is there to be seen: by whoever may.
    told = {
        door
        for door in SHOWING
        if CANARY in (await client.get(f"/v1/files/{shown.file_id}/{door}")).text
    }
    assert told >= SHOWING - {"document"}


async def test_no_route_that_is_sent_something_gives_it_back(shown: Shown) -> None:
    file_id, ids = shown.file_id, shown.things.ids
    store = f"/openai/v1/vector_stores/{ids['vector_store_id']}"
    refused = {
        "/v1/files/archive": {"files": [{"id": file_id}]},
        f"/v1/files/{file_id}/redactions": {"regions": [{"page": 1, "bbox": [0, 0, 9, 9]}]},
        f"/v1/files/{file_id}/compare": {"pages": [1]},
        "/v1/shares": {"file_id": file_id},
        "/v1/annotations": {"file_id": file_id, "target": {"page": 1, "quote": {"exact": CANARY}}},
    }
    for path, body in refused.items():
        answer = await shown.reader.post(path, json=body)
        assert answer.status_code in (403, 409, 422), (path, answer.text)
    searches = {
        "/v1/search": {"query": "Ana Li is reached at"},
        "/v1/query": {"query": "Where is Ana Li reached?"},
        f"{store}/search": {"query": "Ana Li is reached at"},
    }
    for path, body in searches.items():
        answer = await shown.reader.post(path, json=body)
        assert answer.status_code == 200, (path, answer.text)
        assert CANARY not in answer.text, path


async def test_content_that_is_not_read_yet_waits_where_a_policy_masks(
    shown: Shown, client: httpx.AsyncClient
) -> None:
    new = (await client.post("/v1/files?name=new.txt", content=CANARY.encode())).json()
    path = f"/v1/files/{new['id']}/content"
    assert (await shown.reader.get(path)).status_code == 200
    policy = await client.post("/v1/finding-policies", json={"act": "mask"})
    assert policy.status_code == 201, policy.text
    waiting = await shown.reader.get(path)
    assert waiting.status_code == 409
    assert "not known before it is published" in waiting.json()["detail"]
    assert (await client.get(path)).text == CANARY
    shared = await client.post("/v1/shares", json={"file_id": new["id"]})
    assert shared.status_code == 409


async def test_what_has_no_value_is_masked_by_no_policy(client: httpx.AsyncClient) -> None:
    for kind in ("hidden_text", "prompt_injection"):
        refused = await client.post("/v1/finding-policies", json={"act": "mask", "kind": kind})
        assert refused.status_code == 422, refused.text
        held = await client.post("/v1/finding-policies", json={"act": "review", "kind": kind})
        assert held.status_code == 201, held.text
        assert (await client.get("/v1/findings", params={"kind": kind})).status_code == 200
