"""`GET /v1/files/{id}/versions/{number}/comparison`, over readings as they are stored."""

from uuid import UUID

import httpx
import pytest

from db.models import Blob, FileVersion, PageRow, now
from db.queries import files
from db.session import Database
from muniment.client import AsyncMuniment
from muniment.contracts.documents import HiddenKind, HiddenText, Page, PageBatch, PageSource
from muniment.settings import load_settings
from muniment.stores import Stores, open_stores
from tests.api.conftest import ApiProcess, audit_actions
from tests.conftest import TenantFixture

SHAPE = {"width": 595, "height": 842, "source": "text", "engine": "docling-parse"}
UNREAD = "urn:muniment:problem:engine-crashed"


def prose(about: str) -> str:
    return " ".join(f"{about}{number}" for number in range(60))


@pytest.fixture
def stores(api: ApiProcess, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The stores of the API process, opened a second time as a worker does."""
    monkeypatch.setenv("MUNIMENT_OBJECTS__ROOT", str(api.home / "objects"))
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(api.home / "keys"))
    return open_stores(load_settings())


def read_page(number: int, text: str) -> Page:
    unseen = HiddenText(kind=HiddenKind.TINY, text=f"unseen {text[:5]}", bbox=(1, 2, 3, 4))
    return Page(
        page=number,
        width=595,
        height=842,
        source=PageSource.TEXT,
        engine="docling-parse",
        confidence=None,
        text=text,
        lines=(),
        hidden=(unseen,),
    )


async def publish(
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
    file_id: UUID,
    texts: list[str | None],
) -> None:
    """The newest version, published with these pages; None is one that could not be read."""
    read = [read_page(number, text or "") for number, text in enumerate(texts, start=1)]
    batch = PageBatch(pages=tuple(read))
    sealed = await stores.blobs.put_bytes(tenant.tenant_id, batch.model_dump_json().encode())
    async with database.transaction(tenant.system) as session:
        version: FileVersion = await files.newest_version(session, file_id)
        blob = Blob(
            id=sealed.blob_id,
            tenant_id=tenant.tenant_id,
            kind="artifact",
            size=sealed.size,
            sha256=sealed.sha256,
        )
        session.add(blob)
        await session.flush()
        version.published_at = now()
        for number, text in enumerate(texts, start=1):
            place = {"tenant_id": tenant.tenant_id, "version_id": version.id, "page": number}
            stored = {"blob_id": sealed.blob_id, "position": number - 1}
            problem = {"problem": UNREAD}
            session.add(PageRow(**place, **SHAPE, **(problem if text is None else stored)))


@pytest.fixture
async def path(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, stores: Stores
) -> str:
    """Two versions: a page was put in, one changed, one went, one moved to the end, one is unread."""
    made = await client.post("/v1/files?name=a.pdf", content=b"one")
    file_id = UUID(made.json()["id"])
    kept = [prose(about) for about in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")]
    await publish(database, tenant, stores, file_id, [*kept, prose("eta")])
    await client.post(f"/v1/files/{file_id}/versions?name=a.pdf", content=b"two")
    changed = kept[2].replace("gamma30 ", "GAMMA thirty ")
    present = [kept[0], prose("new"), changed, kept[4], kept[5], kept[1], None]
    await publish(database, tenant, stores, file_id, present)
    return f"/v1/files/{file_id}/versions"


EXPECTED = [
    ("unchanged", 1, 1, False),
    ("added", None, 2, False),
    ("changed", 3, 3, False),
    ("removed", 4, None, False),
    ("unchanged", 5, 4, False),
    ("unchanged", 6, 5, False),
    ("unchanged", 2, 6, True),
    ("unread", 7, 7, False),
]


def told(pages: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(page["state"], page["with_page"], page["page"], page["moved"]) for page in pages]


async def test_every_page_is_told_with_what_became_of_it(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(f"{path}/2/comparison")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["version"], body["with_version"], body["next_cursor"]) == (2, 1, None)
    assert told(body["data"]) == EXPECTED
    assert body["pages"] == {
        "unchanged": 4, "changed": 1, "added": 1, "removed": 1, "unread": 1, "moved": 1,
    }  # fmt: skip
    changed = body["data"][2]
    assert (changed["words_removed"], changed["words_added"], changed["truncated"]) == (1, 2, False)
    assert [(each["kind"], each["words"]) for each in changed["differences"]] == [
        ("omitted", 24), ("equal", 6), ("removed", 1), ("added", 2), ("equal", 6), ("omitted", 23),
    ]  # fmt: skip
    assert body["data"][-1]["problem"] == UNREAD
    assert "unseen" not in answer.text


async def test_the_other_way_round_what_was_added_is_removed(
    client: httpx.AsyncClient, path: str
) -> None:
    body = (await client.get(f"{path}/1/comparison", params={"with": 2})).json()
    assert (body["pages"]["added"], body["pages"]["removed"]) == (1, 1)
    (changed,) = (page for page in body["data"] if page["state"] == "changed")
    assert (changed["words_removed"], changed["words_added"]) == (2, 1)


async def test_cursors_give_every_page_once_and_unchanged_ones_can_be_left_out(
    client: httpx.AsyncClient, path: str
) -> None:
    for unchanged, expected in (
        ("true", EXPECTED),
        ("false", [each for each in EXPECTED if each[0] != "unchanged" or each[3]]),
    ):
        seen: list[tuple[object, ...]] = []
        parameters = {"limit": "3", "unchanged": unchanged}
        while True:
            body = (await client.get(f"{path}/2/comparison", params=parameters)).json()
            seen += told(body["data"])
            assert body["pages"]["unchanged"] == 4
            if body["next_cursor"] is None:
                break
            parameters["cursor"] = body["next_cursor"]
        assert seen == expected


async def test_a_version_is_the_same_as_itself(client: httpx.AsyncClient, path: str) -> None:
    body = (await client.get(f"{path}/1/comparison", params={"with": 1})).json()
    assert body["pages"] == {
        "unchanged": 7, "changed": 0, "added": 0, "removed": 0, "unread": 0, "moved": 0,
    }  # fmt: skip


async def test_what_cannot_be_compared_is_told(client: httpx.AsyncClient, path: str) -> None:
    first = await client.get(f"{path}/1/comparison")
    assert (first.status_code, first.json()["errors"][0]["field"]) == (422, "with")
    assert (await client.get(f"{path}/3/comparison")).status_code == 404
    await client.post(f"{path}?name=a.pdf", content=b"three")
    unread = await client.get(f"{path}/3/comparison")
    assert unread.status_code == 409
    assert "version 3" in unread.json()["detail"]


async def test_the_client_compares_too(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, path: str
) -> None:
    file_id = path.split("/")[3]
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        found = await muniment.files.compare_versions(file_id, 2, limit=2)
        assert [page.state for page in found.data] == ["added", "changed"]
        rest = await muniment.files.compare_versions(file_id, 2, 1, cursor=found.next_cursor)
    assert [page.state for page in rest.data] == ["removed", "unchanged", "unread"]
    assert (rest.pages.unchanged, rest.with_version, rest.next_cursor) == (4, 1, None)
    assert found.data[0].differences[0].text.startswith("new0 new1")


async def test_another_tenant_learns_nothing(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    path: str,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    assert (await stranger.get(f"{path}/2/comparison")).status_code == 404
    assert "file.read" not in audit_actions(postgres_dsn, tenant.tenant_id)
    await client.get(f"{path}/2/comparison")
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("file.read") == 2
