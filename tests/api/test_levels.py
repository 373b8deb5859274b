"""Each route that touches a file, a job or a collection, for each level that a principal may have on
it: 404 below `read`, 403 below what the route needs, and something else from there on."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from api.application import create_application
from db.models import new_id
from tests.api.conftest import ApiProcess, client_of
from tests.api.without_levels import WITHOUT_LEVELS
from tests.conftest import TenantFixture, make_tenant

LEVELS = ("none", "read", "write", "manage", "admin")
NOT_READABLE = {
    "there is no such file",
    "there is no such job",
    "there is no such collection",
    "there is no such vector store",
}

NEEDED = {
    ("GET", "/v1/files/{file_id}"): "read",
    ("PATCH", "/v1/files/{file_id}"): "write",
    ("DELETE", "/v1/files/{file_id}"): "write",
    ("DELETE", "/v1/files/{file_id}?permanent=true"): "manage",
    ("POST", "/v1/files/{file_id}/restore"): "write",
    ("GET", "/v1/files/{file_id}/versions"): "read",
    ("POST", "/v1/files/{file_id}/versions"): "write",
    ("GET", "/v1/files/{file_id}/versions/{number}"): "read",
    ("GET", "/v1/files/{file_id}/versions/{number}/comparison"): "read",
    ("GET", "/v1/files/{file_id}/content"): "read",
    ("HEAD", "/v1/files/{file_id}/content"): "read",
    ("POST", "/v1/files/{file_id}/reprocess"): "write",
    ("POST", "/v1/files/{file_id}/compare"): "write",
    ("POST", "/v1/files/{file_id}/redactions"): "write",
    ("GET", "/v1/files/{file_id}/tier"): "read",
    ("POST", "/v1/files/{file_id}/tier"): "manage",
    ("GET", "/v1/files/{file_id}/retention"): "read",
    # A right of its own, over what it may see: the scope retention:manage.
    ("PUT", "/v1/files/{file_id}/retention"): "read",
    ("GET", "/v1/files/{file_id}/pages"): "read",
    ("GET", "/v1/files/{file_id}/pages/{page}"): "read",
    ("GET", "/v1/files/{file_id}/pages/{page}/image"): "read",
    ("GET", "/v1/files/{file_id}/thumbnail"): "read",
    ("GET", "/v1/files/{file_id}/document"): "read",
    ("GET", "/v1/files/{file_id}/markdown"): "read",
    ("GET", "/v1/files/{file_id}/text"): "read",
    ("GET", "/v1/files/{file_id}/chunks"): "read",
    ("GET", "/v1/files/{file_id}/activity"): "read",
    ("GET", "/v1/jobs/{job_id}"): "read",
    ("GET", "/v1/jobs/{job_id}/events"): "read",
    ("POST", "/v1/jobs/{job_id}/cancel"): "write",
    ("POST", "/v1/jobs/{job_id}/pause"): "write",
    ("POST", "/v1/jobs/{job_id}/resume"): "write",
    ("POST", "/v1/jobs/{job_id}/reprioritise"): "write",
    ("POST", "/v1/jobs/{job_id}/retry"): "write",
    # A right of its own, over what it may see: the scope quarantine:decide.
    ("POST", "/v1/jobs/{job_id}/release"): "read",
    ("POST", "/v1/jobs/{job_id}/reject"): "read",
    ("GET", "/v1/collections/{collection_id}"): "read",
    ("PATCH", "/v1/collections/{collection_id}"): "manage",
    ("DELETE", "/v1/collections/{collection_id}"): "manage",
    ("GET", "/v1/collections/{collection_id}/tier-policy"): "read",
    ("PUT", "/v1/collections/{collection_id}/tier-policy"): "manage",
    ("DELETE", "/v1/collections/{collection_id}/tier-policy"): "manage",
    ("GET", "/openai/v1/files/{openai_file_id}"): "read",
    ("GET", "/openai/v1/files/{openai_file_id}/content"): "read",
    ("DELETE", "/openai/v1/files/{openai_file_id}"): "write",
    ("GET", "/openai/v1/vector_stores/{vector_store_id}"): "read",
    ("POST", "/openai/v1/vector_stores/{vector_store_id}"): "manage",
    ("DELETE", "/openai/v1/vector_stores/{vector_store_id}"): "manage",
    ("POST", "/openai/v1/vector_stores/{vector_store_id}/search"): "read",
    ("GET", "/openai/v1/vector_stores/{vector_store_id}/files"): "read",
    ("POST", "/openai/v1/vector_stores/{vector_store_id}/files"): "write",
    ("GET", "/openai/v1/vector_stores/{vector_store_id}/files/{openai_file_id}"): "read",
    ("GET", "/openai/v1/vector_stores/{vector_store_id}/files/{openai_file_id}/content"): "read",
    ("POST", "/openai/v1/vector_stores/{vector_store_id}/files/{openai_file_id}"): "write",
    ("DELETE", "/openai/v1/vector_stores/{vector_store_id}/files/{openai_file_id}"): "write",
    ("POST", "/openai/v1/vector_stores/{vector_store_id}/file_batches"): "write",
    ("GET", "/openai/v1/vector_stores/{vector_store_id}/file_batches/{file_batch_id}"): "read",
    (
        "GET",
        "/openai/v1/vector_stores/{vector_store_id}/file_batches/{file_batch_id}/files",
    ): "read",
}

BODIES: dict[str, object] = {
    "/v1/files/{file_id}": {"labels": ["seen"]},
    "/v1/files/{file_id}/tier": {"tier": "cold"},
    "/v1/files/{file_id}/retention": {
        "mode": "governance",
        "retain_until": "2100-01-01T00:00:00Z",
    },
    "/v1/files/{file_id}/redactions": {"types": ["EMAIL_ADDRESS"]},
    "/v1/jobs/{job_id}/reprioritise": {"priority": 2},
    "/v1/collections/{collection_id}": {"visibility": "private"},
    "/v1/collections/{collection_id}/tier-policy": {"after_days": 30},
    "/openai/v1/vector_stores/{vector_store_id}": {"metadata": {"a": "b"}},
    "/openai/v1/vector_stores/{vector_store_id}/search": {"query": "a"},
    "/openai/v1/vector_stores/{vector_store_id}/files": {"file_id": "{openai_file_id}"},
    "/openai/v1/vector_stores/{vector_store_id}/files/{openai_file_id}": {"attributes": {"a": 1}},
    "/openai/v1/vector_stores/{vector_store_id}/file_batches": {"file_ids": ["{openai_file_id}"]},
}

WAITING_FOR_A_WORKER = ("/pause", "/resume", "/reprioritise")
"""No worker answers here: each takes seconds, so that one level that may is enough."""

ONCE = {("DELETE", "/openai/v1/files/{openai_file_id}")}
"""To these clients a file in the trash is gone: one level that may is all that finds it."""

NAMED_IN_BODY = [
    # Routes whose bodies name a file or a collection, with what each answers to whom.
    ("/v1/shares", {"file_id": "{file_id}"}, "read", {404}),
    ("/v1/files/archive", {"files": [{"id": "{file_id}"}]}, "read", {404}),
    ("/v1/annotations", {"file_id": "{file_id}"}, "read", {404}),
    ("/v1/erasures", {"file_id": "{file_id}"}, "manage", {403, 404}),
    ("/v1/batches", {"files": ["{file_id}"]}, "write", {422}),
    (
        "/v1/grants",
        {"principal_id": "{owner_id}", "file_id": "{file_id}", "level": "read"},
        "manage",
        {403, 404},
    ),
    (
        "/v1/grants",
        {"principal_id": "{owner_id}", "collection_id": "{collection_id}", "level": "read"},
        "manage",
        {403, 404},
    ),
    ("/v1/files?name=x&collection={collection_id}", None, "write", {422}),
    ("/openai/v1/vector_stores", {"file_ids": ["{openai_file_id}"]}, "read", {404}),
    (
        "/openai/v1/chat/completions",
        {
            "model": "muniment",
            "messages": [{"role": "user", "content": "a"}],
            "vector_store_ids": ["{vector_store_id}"],
        },
        "read",
        {404},
    ),
]

LISTS = (
    "/v1/files",
    "/v1/jobs",
    "/v1/collections",
    "/openai/v1/files",
    "/openai/v1/vector_stores",
)
"""Lists that hold what the caller may read, and nothing else."""


def test_every_route_says_which_level_it_needs() -> None:
    named = {("POST", path.split("?")[0]) for path, *_ in NAMED_IN_BODY}
    named |= {("GET", path) for path in LISTS} | WITHOUT_LEVELS
    for path, operations in create_application().openapi()["paths"].items():
        methods = {each.upper() for each in operations} & {
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE",
        }  # fmt: skip
        for method in methods:
            assert (method, path) in NEEDED or (method, path) in named, (method, path)


@dataclass(frozen=True)
class Drawer:
    """A private collection with one file, its owner, and clients by their level on it."""

    ids: dict[str, str]
    clients: dict[str, httpx.AsyncClient]


@asynccontextmanager
async def drawer_of(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> AsyncIterator[Drawer]:
    async with AsyncExitStack() as stack:
        ids: dict[str, str] = {}
        clients: dict[str, httpx.AsyncClient] = {}
        for level in ("owner", *LEVELS):
            made = make_tenant(
                postgres_dsn, tenant.name, principal=level, is_admin=level == "admin"
            )
            ids[f"{level}_id"] = str(made.principal_id)
            clients[level] = await stack.enter_async_context(client_of(api, made.api_key))
        yield Drawer(ids, clients)


async def fill(drawer: Drawer, postgres_dsn: str) -> dict[str, str]:
    """The ids of a new private collection and a published file in it, granted by the owner."""
    owner = drawer.clients["owner"]
    name = f"drawer-{new_id()}"
    made = await owner.post("/v1/collections", json={"name": name, "visibility": "private"})
    collection_id = made.json()["id"]
    file = (await owner.post(f"/v1/files?name=a.txt&collection={name}", content=b"a")).json()
    for level in ("read", "write", "manage"):
        granted = await owner.post(
            "/v1/grants",
            json={
                "principal_id": drawer.ids[f"{level}_id"],
                "collection_id": collection_id,
                "level": level,
            },
        )
        assert granted.status_code == 201, granted.text
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE file_version SET published_at = now(), page_count = 1 WHERE file_id = %s",
            (file["id"],),
        )
    openai_file_id = f"file-{file['id'].replace('-', '')}"
    vector_store_id = f"vs_{collection_id.replace('-', '')}"
    batches = f"/openai/v1/vector_stores/{vector_store_id}/file_batches"
    batch = await owner.post(batches, json={"file_ids": [openai_file_id]})
    return {
        **drawer.ids,
        "openai_file_id": openai_file_id,
        "vector_store_id": vector_store_id,
        "file_batch_id": batch.json()["id"],
        "collection_id": collection_id,
        "file_id": file["id"],
        "job_id": file["job"]["id"],
        "number": "1",
        "page": "1",
    }


@pytest.fixture
async def drawer(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> AsyncIterator[Drawer]:
    async with drawer_of(api, tenant, postgres_dsn) as drawer:
        yield drawer


def filled(template: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        template = template.replace("{" + name + "}", value)
    return template


async def answered(
    client: httpx.AsyncClient, method: str, path: str, body: object
) -> tuple[int, str]:
    """The status and, of a problem, its detail; of a stream no more than its beginning."""
    sent = {"content": b"new"} if path.endswith("/versions") and method == "POST" else {}
    if body is not None:
        sent = {"json": body}
    async with client.stream(method, path, **sent) as response:  # type: ignore[arg-type] # either
        if response.status_code < 400 or method == "HEAD":
            return response.status_code, ""
        problem = json.loads(await response.aread())
        if "error" in problem:
            # OpenAI's form: the detail, and then what to do.
            return response.status_code, problem["error"]["message"].partition(". ")[0]
        return response.status_code, problem["detail"]


def below(level: str, needed: str) -> bool:
    return LEVELS.index(level) < LEVELS.index(needed)


@pytest.mark.parametrize(("method", "path"), NEEDED, ids=lambda value: str(value))
async def test_a_route_is_for_those_who_have_its_level(
    drawer: Drawer, postgres_dsn: str, method: str, path: str
) -> None:
    needed = NEEDED[method, path]
    ids = await fill(drawer, postgres_dsn)
    body = BODIES.get(path) if method in ("PATCH", "POST", "PUT") else None
    body = json.loads(filled(json.dumps(body), ids))
    for level in LEVELS:
        status, detail = await answered(drawer.clients[level], method, filled(path, ids), body)
        if level == "none":
            assert status == 404, (level, status, detail)
            assert method == "HEAD" or detail in NOT_READABLE
        elif below(level, needed):
            assert status == 403, (level, status, detail)
            assert needed in detail
        else:
            assert status not in (401, 403, 500), (level, status, detail)
            assert detail not in NOT_READABLE, (level, status, detail)
            if path.endswith(WAITING_FOR_A_WORKER) or (method, path) in ONCE:
                return


@pytest.mark.parametrize(("path", "body", "needed", "refusals"), NAMED_IN_BODY)
async def test_what_a_body_names_is_for_those_who_have_the_level(
    drawer: Drawer,
    postgres_dsn: str,
    path: str,
    body: object,
    needed: str,
    refusals: set[int],
) -> None:
    ids = await fill(drawer, postgres_dsn)
    for level in LEVELS:
        answer = await drawer.clients[level].post(
            filled(path, ids),
            json=json.loads(filled(json.dumps(body), ids)) if body else None,
            content=None if body else level.encode(),
        )
        if below(level, needed):
            assert answer.status_code in refusals, (level, answer.text)
        elif answer.status_code == 409:
            # Nothing is erased twice.
            assert (path, level) == ("/v1/erasures", "admin"), answer.text
        else:
            assert answer.is_success, (level, answer.text)


@pytest.mark.parametrize("path", LISTS)
async def test_a_list_holds_what_may_be_read(drawer: Drawer, postgres_dsn: str, path: str) -> None:
    ids = await fill(drawer, postgres_dsn)
    of_interest = {
        ids[each]
        for each in ("file_id", "job_id", "collection_id", "openai_file_id", "vector_store_id")
    }
    for level in LEVELS:
        shown = {each["id"] for each in (await drawer.clients[level].get(path)).json()["data"]}
        assert bool(shown & of_interest) == (level != "none"), level


async def test_a_file_is_moved_by_whoever_manages_it(drawer: Drawer, postgres_dsn: str) -> None:
    ids = await fill(drawer, postgres_dsn)
    path = f"/v1/files/{ids['file_id']}"
    same = {"collection": ids["collection_id"], "labels": ["x"]}
    assert (await drawer.clients["write"].patch(path, json=same)).status_code == 200
    refused = await drawer.clients["write"].patch(path, json={"collection": "default"})
    assert refused.status_code == 403, "everybody would read it"
    assert (await drawer.clients["none"].get(path)).status_code == 404
    moved = await drawer.clients["manage"].patch(path, json={"collection": "default"})
    assert moved.status_code == 200, moved.text
    assert (await drawer.clients["none"].get(path)).status_code == 200


async def test_a_grant_on_one_file_opens_no_other(drawer: Drawer, postgres_dsn: str) -> None:
    first, second = [await fill(drawer, postgres_dsn) for _ in range(2)]
    body = {"principal_id": first["none_id"], "file_id": first["file_id"], "level": "write"}
    assert (await drawer.clients["owner"].post("/v1/grants", json=body)).status_code == 201
    guest = drawer.clients["none"]
    for path, status in (
        (f"/v1/files/{first['file_id']}", 200),
        (f"/v1/jobs/{first['job_id']}", 200),
        (f"/v1/collections/{first['collection_id']}", 404),
        (f"/v1/files/{second['file_id']}", 404),
    ):
        assert (await guest.get(path)).status_code == status, path
    renamed = await guest.patch(f"/v1/files/{first['file_id']}", json={"name": "b.txt"})
    assert renamed.status_code == 200
