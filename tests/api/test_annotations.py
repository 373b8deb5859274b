"""`/v1/annotations`: what is annotated is proven, said by its author, and seen by the file's readers."""

import asyncio
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from api.annotations.schemas import NewTarget
from api.annotations.targets import prove
from db.models import PageRow
from db.session import Database
from muniment.client import AsyncMuniment, Muniment
from muniment.contracts.documents import Line, Page, PageSource
from muniment.settings import load_settings
from muniment.stores import Stores, open_stores
from tests.api.annotated import HEIGHT, WIDTH, line_box, publish_pages
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture, make_tenant

FIRST = [
    "The lease of the mill runs for",
    "twelve years from Lady Day, and may be termi-",
    "nated by either party at six months' notice.",
    "The rent is forty pounds.",
]
SECOND = ["The rent is forty pounds.", "The rent is paid at Michaelmas.", "ﬁnis"]


@pytest.fixture
def stores(api: ApiProcess, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The stores of the API process, opened a second time as a worker does."""
    monkeypatch.setenv("MUNIMENT_OBJECTS__ROOT", str(api.home / "objects"))
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(api.home / "keys"))
    return open_stores(load_settings())


@pytest.fixture
async def file_id(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, stores: Stores
) -> str:
    answer = await client.post("/v1/files?name=lease.pdf", content=b"scanned")
    found: str = answer.json()["id"]
    await publish_pages(database, tenant, stores, UUID(found), [FIRST, SECOND])
    return found


async def annotate(
    client: httpx.AsyncClient, file_id: str, target: object = None, **fields: object
) -> httpx.Response:
    return await client.post(
        "/v1/annotations", json={"file_id": file_id, "target": target, **fields}
    )


def quoting(exact: str, page: int = 1, **around: object) -> dict[str, object]:
    return {"page": page, "quote": {"exact": exact, **around}}


async def test_a_quote_gets_its_offsets_context_and_boxes(
    client: httpx.AsyncClient, file_id: str
) -> None:
    made = await annotate(
        client, file_id, quoting("may be terminated by  either party"), body="Since when?"
    )
    assert made.status_code == 201, made.text
    shown = made.json()
    text = "\n".join(FIRST)
    quote = shown["target"]["quote"]
    assert quote["exact"] == "may be termi-\nnated by either party"
    assert text[quote["start"] : quote["end"]] == quote["exact"]
    assert quote["prefix"].endswith("from Lady Day, and ")
    assert quote["suffix"].startswith(" at six months")
    assert shown["target"]["boxes"] == [list(line_box(1)), list(line_box(2))]
    assert shown["anchor"]["state"] == "exact"
    assert shown["anchor"]["quote"]["exact"] == quote["exact"]
    assert (shown["version"], shown["state"], shown["comments"]) == (1, "open", 0)
    assert shown["author"]["name"] == "administrator"
    assert made.headers["Location"] == f"/v1/annotations/{shown['id']}"
    assert (await client.get(made.headers["Location"])).json() == shown


async def test_a_region_keeps_the_words_beneath_and_a_file_needs_no_place(
    client: httpx.AsyncClient, file_id: str
) -> None:
    region = [40, 155, 560, 175]
    made = (await annotate(client, file_id, {"page": 1, "region": region}, colour="#ffd54f")).json()
    assert made["target"]["region"] == region
    assert made["target"]["quote"]["exact"] == FIRST[3]
    empty = (await annotate(client, file_id, {"page": 1, "region": [1, 1, 9, 9]})).json()
    assert (empty["target"]["quote"], empty["anchor"]["state"]) == (None, "exact")
    whole = (await annotate(client, file_id, body="To be signed.", tags=["a", "b", "a"])).json()
    assert (whole["target"], whole["tags"]) == (None, ["a", "b"])
    assert whole["anchor"]["state"] == "exact"


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (quoting("words that stand nowhere"), "target.quote"),
        (quoting("The rent is forty pounds.", prefix="years"), "target.quote"),
        (quoting("Lady Day", start=3), "target.quote"),
        (quoting("forty", page=3), "target.page"),
        (quoting("the"), "target.quote"),
        (quoting(" \n "), "target.quote"),
        (quoting("\0"), "body.target.quote.exact"),
        (quoting("x" * 5_001), "body.target.quote.exact"),
        ({"page": 1}, "body.target"),
        ({"page": 0, "region": [1, 1, 2, 2]}, "body.target.page"),
        ({"page": 1, "region": [1, 1, WIDTH + 1, 2]}, "target.region"),
        ({"page": 1, "region": [1, 1, 2, HEIGHT + 1]}, "target.region"),
        ({"page": 1, "region": [3, 1, 2, 2]}, "body.target.region"),
        ({"page": 1, "region": [-1, 1, 2, 2]}, "body.target.region.0"),
        ({"page": 1, "region": [1, 1, 2]}, "body.target.region.3"),
        ({"page": 1, "region": [1, 1, 1e300, 2]}, "body.target.region.2"),
    ],
)
async def test_what_does_not_stand_there_is_refused(
    client: httpx.AsyncClient, file_id: str, target: object, field: str
) -> None:
    refused = await annotate(client, file_id, target)
    assert refused.status_code == 422, refused.text
    assert field in [error["field"] for error in refused.json()["errors"]]
    assert refused.json()["remedy"]
    assert (await client.get("/v1/annotations", params={"file_id": file_id})).json()["data"] == []


async def test_words_that_stand_twice_are_told_apart(
    client: httpx.AsyncClient, file_id: str
) -> None:
    assert (await annotate(client, file_id, quoting("The rent", page=2))).status_code == 422
    by_context = await annotate(
        client, file_id, quoting("The rent", page=2, prefix="forty pounds. ")
    )
    assert by_context.json()["target"]["quote"]["start"] == 26
    by_offset = await annotate(client, file_id, quoting("The rent", page=2, start=0))
    assert by_offset.json()["target"]["quote"]["start"] == 0
    ligature = await annotate(client, file_id, quoting("finis", page=2))
    assert ligature.json()["target"]["quote"]["exact"] == "ﬁnis"


async def test_lists_are_filtered_and_cut_into_pages(
    client: httpx.AsyncClient,
    file_id: str,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    first = (await annotate(client, file_id, quoting("Lady Day"))).json()["id"]
    second = (await annotate(client, file_id, quoting("Michaelmas", page=2))).json()["id"]
    whole = (await annotate(client, file_id, body="all")).json()["id"]
    other = make_tenant(postgres_dsn, tenant.name, principal="ada", is_admin=False)
    async with client_of(api, other.api_key) as ada:
        hers = (await annotate(ada, file_id, quoting("Lady Day"))).json()["id"]
    resolved = await client.patch(f"/v1/annotations/{first}", json={"state": "resolved"})
    assert (resolved.json()["state"], resolved.json()["resolved_by"]) == (
        "resolved",
        str(tenant.principal_id),
    )

    async def listed(**wanted: object) -> list[str]:
        answer = await client.get("/v1/annotations", params={"file_id": file_id, **wanted})
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["data"]]

    assert await listed() == [hers, whole, second, first]
    assert await listed(page=1) == [hers, first]
    assert await listed(page=2, version=1) == [second]
    assert await listed(author=other.principal_id) == [hers]
    assert await listed(state="resolved") == [first]
    assert await listed(state="open", page=1) == [hers]
    some = (await client.get("/v1/annotations?limit=3")).json()
    rest = await client.get("/v1/annotations", params={"cursor": some["next_cursor"]})
    assert [each["id"] for each in [*some["data"], *rest.json()["data"]]] == await listed()
    assert (await client.get("/v1/annotations?version=1")).status_code == 422
    absent = await client.get("/v1/annotations", params={"file_id": file_id, "version": 9})
    assert absent.status_code == 404


async def test_only_authors_change_what_they_said(
    client: httpx.AsyncClient,
    file_id: str,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    reader = make_tenant(postgres_dsn, tenant.name, principal="reader", is_admin=False)
    path = f"/v1/annotations/{(await annotate(client, file_id, body='mine')).json()['id']}"
    comment = (await client.post(f"{path}/comments", json={"body": "first"})).json()
    below = f"{path}/comments/{comment['id']}"
    async with client_of(api, reader.api_key) as ada:
        for change in ({"body": "hers"}, {"tags": []}, {"colour": None}, {"state": "resolved"}):
            refused = await ada.patch(path, json=change)
            assert refused.status_code == 403, change
            assert refused.json()["remedy"]
        assert (await ada.delete(path)).status_code == 403
        assert (await ada.patch(below, json={"body": "hers"})).status_code == 403
        assert (await ada.delete(below)).status_code == 403
        hers = f"/v1/annotations/{(await annotate(ada, file_id, body='hers')).json()['id']}"
        assert (await ada.patch(hers, json={"body": "better"})).json()["body"] == "better"
        assert (await ada.post(f"{path}/comments", json={"body": "I see"})).status_code == 201
        said = await ada.post(f"{path}/comments", json={"body": "and more"})
        assert (await ada.delete(said.headers["Location"])).status_code == 204
    assert (await client.get(path)).json()["comments"] == 2
    assert (await client.patch(hers, json={"body": "no"})).status_code == 403
    assert (await client.patch(hers, json={"state": "resolved"})).status_code == 200
    assert (await client.delete(hers)).status_code == 204, "an administrator manages the file"
    assert (await client.get(hers)).status_code == 404


async def test_if_match_keeps_changes_apart(client: httpx.AsyncClient, file_id: str) -> None:
    path = f"/v1/annotations/{(await annotate(client, file_id, body='one')).json()['id']}"
    tag = (await client.get(path)).headers["ETag"]
    answers = await asyncio.gather(
        *(
            client.patch(path, json={"body": str(number)}, headers={"If-Match": tag})
            for number in range(5)
        )
    )
    assert sorted(each.status_code for each in answers) == [200, 412, 412, 412, 412]
    commented = await client.post(f"{path}/comments", json={"body": "one"})
    below = commented.headers["Location"]
    shown = await client.get(below)
    assert shown.json() == commented.json()
    changed = await client.patch(below, json={"body": "two"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    stale = await client.patch(below, json={"body": "three"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412


async def test_a_repeated_post_makes_one(client: httpx.AsyncClient, file_id: str) -> None:
    body = {"file_id": file_id, "body": "once"}
    key = {"Idempotency-Key": str(uuid4())}
    first = await client.post("/v1/annotations", json=body, headers=key)
    again = await client.post("/v1/annotations", json=body, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    other = await client.post("/v1/annotations", json={**body, "body": "2"}, headers=key)
    assert other.status_code == 422
    comments = f"/v1/annotations/{first.json()['id']}/comments"
    said = [await client.post(comments, json={"body": "x"}, headers=key) for _ in range(2)]
    assert said[0].json() == said[1].json()
    assert len((await client.get(comments)).json()["data"]) == 1


async def test_a_list_passes_over_some_at_a_time(
    client: httpx.AsyncClient, file_id: str, postgres_dsn: str
) -> None:
    hidden = (await client.post("/v1/files?name=b.txt", content=b"b")).json()["id"]
    made = await client.post("/v1/annotations", json={"file_id": file_id, "body": "seen"})
    await client.post("/v1/annotations", json={"file_id": hidden, "body": "not seen"})
    await client.delete(f"/v1/files/{hidden}")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO annotation (id, tenant_id, file_id, version_id, body, quote, prefix, suffix,"
            " page_width, page_height, page_rotation, page_digest, occurrence, occurrences, boxes,"
            " revision, created_at, updated_at) SELECT gen_random_uuid(), tenant_id, file_id, version_id,"
            " body, '', '', '', 0, 0, 0, '', 0, 0, '[]', 1, now(), now()"
            " FROM annotation, generate_series(1, 9999) WHERE file_id = %s",
            (hidden,),
        )
    first = (await client.get("/v1/annotations")).json()
    assert first["data"] == []
    cursor = {"cursor": first["next_cursor"]}
    then = (await client.get("/v1/annotations", params=cursor)).json()
    assert [each["id"] for each in then["data"]] == [made.json()["id"]]
    assert then["next_cursor"] is None


async def test_a_repeated_post_shows_nothing_of_a_file_that_is_shown_no_more(
    client: httpx.AsyncClient, file_id: str
) -> None:
    body = {"file_id": file_id, "body": "once"}
    key = {"Idempotency-Key": str(uuid4())}
    made = await client.post("/v1/annotations", json=body, headers=key)
    comments = f"/v1/annotations/{made.json()['id']}/comments"
    await client.post(comments, json={"body": "x"}, headers=key)
    await client.delete(f"/v1/files/{file_id}")
    again = await client.post("/v1/annotations", json=body, headers=key)
    said = await client.post(comments, json={"body": "x"}, headers=key)
    assert (again.status_code, said.status_code) == (409, 409)


async def test_a_box_over_more_than_a_quote_goes_by_its_page() -> None:
    lines = [f"line {number} of a page that is full" for number in range(300)]
    row = PageRow(
        tenant_id=uuid4(),
        version_id=uuid4(),
        page=1,
        width=600,
        height=800,
        source="text",
        engine="x",
    )
    page = Page(
        page=1,
        width=600,
        height=800,
        source=PageSource.TEXT,
        engine="x",
        text="\n".join(lines),
        lines=tuple(
            Line(text=line, bbox=(50, 2 * number, 500, 2 * number + 2))
            for number, line in enumerate(lines)
        ),
    )
    part = await prove(row, page, NewTarget(page=1, region=(0, 0, 600, 20)))
    whole = await prove(row, page, NewTarget(page=1, region=(0, 0, 600, 800)))
    assert part.quote is not None
    assert part.quote.exact.startswith("line 0")
    assert (whole.quote, whole.boxes) == (None, [])


async def test_what_is_not_shown_is_not_annotated(
    client: httpx.AsyncClient, file_id: str, tenant: TenantFixture, postgres_dsn: str
) -> None:
    path = f"/v1/annotations/{(await annotate(client, file_id, quoting('Lady Day'))).json()['id']}"
    assert (await client.delete(f"/v1/files/{file_id}")).status_code == 200
    for answer in (
        await client.get(path),
        await client.patch(path, json={"state": "resolved"}),
        await client.post(f"{path}/comments", json={"body": "x"}),
        await client.get("/v1/annotations", params={"file_id": file_id}),
        await annotate(client, file_id, quoting("Lady Day")),
    ):
        assert answer.status_code == 409, answer.text
        assert "trash" in answer.text
    assert (await client.get("/v1/annotations")).json()["data"] == []
    assert (await client.post(f"/v1/files/{file_id}/restore")).status_code == 200
    assert (await client.get(path)).status_code == 200
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE file SET state = 'erasing' WHERE id = %s", (file_id,))
    assert (await client.get(path)).status_code == 410
    unread = (await client.post("/v1/files?name=b.txt", content=b"unread")).json()["id"]
    assert (await annotate(client, unread, quoting("unread"))).status_code == 409
    assert (await annotate(client, unread, body="Why is it not read?")).status_code == 201
    assert "annotation.read" in audit_actions(postgres_dsn, tenant.tenant_id)


async def test_another_reading_leaves_it_pending_and_a_newer_one_is_what_is_annotated(
    client: httpx.AsyncClient,
    file_id: str,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
) -> None:
    made = (await annotate(client, file_id, quoting("Lady Day"))).json()
    await publish_pages(database, tenant, stores, UUID(file_id), [FIRST[1:]])
    shown = (await client.get(f"/v1/annotations/{made['id']}")).json()
    assert shown["anchor"] == {
        "version": 1, "state": "pending", "score": None, "page": None, "region": None,
        "quote": None, "boxes": [],
    }  # fmt: skip
    assert shown["target"] == made["target"], "what it was made on stays"
    added = await client.post(f"/v1/files/{file_id}/versions", content=b"second")
    assert added.status_code == 202
    await publish_pages(database, tenant, stores, UUID(file_id), [SECOND])
    later = (await annotate(client, file_id, quoting("Michaelmas"))).json()
    assert later["version"] == 2
    of_first = await client.get("/v1/annotations", params={"file_id": file_id, "version": 1})
    assert [each["id"] for each in of_first.json()["data"]] == [made["id"]]
    earlier = await client.get(f"/v1/annotations/{later['id']}", params={"version": 1})
    assert earlier.status_code == 404


async def test_nothing_of_another_tenant_is_found(
    client: httpx.AsyncClient, file_id: str, stranger: httpx.AsyncClient
) -> None:
    path = f"/v1/annotations/{(await annotate(client, file_id, body='x')).json()['id']}"
    assert (await annotate(stranger, file_id, body="x")).status_code == 404
    assert (await annotate(stranger, file_id, quoting("Lady Day"))).status_code == 404
    assert (await stranger.get("/v1/annotations")).json()["data"] == []
    assert (await stranger.get("/v1/annotations", params={"file_id": file_id})).status_code == 404
    for answer in (
        await stranger.get(path),
        await stranger.patch(path, json={"state": "resolved"}),
        await stranger.delete(path),
        await stranger.get(f"{path}/comments"),
        await stranger.post(f"{path}/comments", json={"body": "x"}),
    ):
        assert answer.status_code == 404


def annotated_by_the_blocking_client(api: ApiProcess, key: str, file_id: str) -> str:
    with Muniment(api.url, key) as muniment:
        made = muniment.annotations.create(file_id, page=1, region=(40, 155, 560, 175), tags=["x"])
        muniment.annotations.answer(made.id, "because")
        assert [each.body for each in muniment.annotations.comments(made.id).data] == ["because"]
        assert muniment.annotations.resolve(made.id).state == "resolved"
        assert muniment.annotations.reopen(made.id).state == "open"
        assert [each.id for each in muniment.annotations.list(file_id=file_id).data] == [made.id]
        assert muniment.annotations.activity(file_id).data[-1].kind == "file.uploaded"
        muniment.annotations.delete(made.id)
        return str(made.id)


async def test_both_clients_annotate(
    file_id: str, api: ApiProcess, tenant: TenantFixture, client: httpx.AsyncClient
) -> None:
    gone = await asyncio.to_thread(annotated_by_the_blocking_client, api, tenant.api_key, file_id)
    assert (await client.get(f"/v1/annotations/{gone}")).status_code == 404
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        made = await muniment.annotations.create(file_id, "why?", page=1, exact="Lady Day")
        assert made.target is not None
        assert made.anchor.state == "exact"
        await muniment.annotations.answer(made.id, "because")
        assert len((await muniment.annotations.comments(made.id)).data) == 1
        assert (await muniment.annotations.resolve(made.id)).state == "resolved"
        assert (await muniment.annotations.reopen(made.id)).state == "open"
        listed = await muniment.annotations.list(file_id=file_id, page=1, version=1)
        assert [each.comments for each in listed.data] == [1]
        assert (await muniment.annotations.activity()).data[0].kind == "annotation.reopened"
        await muniment.annotations.delete(made.id)
        assert (await muniment.annotations.list(file_id=file_id)).data == ()


async def test_a_key_that_only_reads_writes_nothing_and_one_that_only_writes_learns_nothing(
    client: httpx.AsyncClient,
    file_id: str,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    for scopes in (("files:read",), ("annotations:write",)):
        key = make_tenant(
            postgres_dsn, tenant.name, principal=str(uuid4()), is_admin=False, scopes=scopes
        )
        async with client_of(api, key.api_key) as narrow:
            for target in (quoting("Lady Day"), quoting("no such words")):
                assert (await annotate(narrow, file_id, target)).status_code == 403


async def test_a_page_without_end_is_not_looked_through(
    client: httpx.AsyncClient,
    file_id: str,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
) -> None:
    await publish_pages(database, tenant, stores, UUID(file_id), [["a" * 1_000_001], ["a" * 9_999]])
    refused = await annotate(client, file_id, quoting("a"))
    assert refused.status_code == 422
    assert "1000000 characters" in refused.json()["detail"]
    assert (await annotate(client, file_id, quoting("a", page=2))).status_code == 422
    told = await annotate(client, file_id, quoting("a", page=2, start=5_000))
    assert told.json()["target"]["quote"]["start"] == 5_000
