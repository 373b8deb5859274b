"""Files of OpenAI's clients are files like all others: the `openai` package uploads, lists, downloads and
deletes them."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from db.session import Database
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.api.openai_clients import async_openai_client, openai_client
from tests.conftest import TenantFixture, make_tenant
from tests.retrieval.published import set_state


@pytest.fixture
async def package(api: ApiProcess, tenant: TenantFixture) -> AsyncIterator[AsyncOpenAI]:
    async with async_openai_client(api, tenant.api_key) as package:
        yield package


def test_a_file_goes_in_and_comes_out_again(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    with openai_client(api, tenant.api_key) as package:
        made = package.files.create(file=("lease.txt", b"It ends in March."), purpose="user_data")
        assert (made.filename, made.bytes, made.purpose) == ("lease.txt", 17, "user_data")
        assert made.status == "uploaded"
        assert made.id.startswith("file-")
        assert package.files.retrieve(made.id) == made
        assert package.files.content(made.id).read() == b"It ends in March."
        again = package.files.create(file=("lease.txt", b"It ends in March."), purpose="user_data")
        assert again.id == made.id, "the same content under the same name"
        deleted = package.files.delete(made.id)
        assert (deleted.id, deleted.deleted) == (made.id, True)
        for gone in (package.files.retrieve, package.files.content, package.files.delete):
            with pytest.raises(openai.NotFoundError):
                gone(made.id)
        assert package.files.list().data == []
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert [each for each in actions if each.startswith("file.")] == [
        "file.created",
        "file.downloaded",
        "file.uploaded_again",
        "file.trashed",
    ]


async def test_it_is_the_same_file_for_everybody(
    package: AsyncOpenAI, client: httpx.AsyncClient
) -> None:
    made = await package.files.create(file=("a.txt", b"a"), purpose="assistants")
    (listed,) = (await client.get("/v1/files")).json()["data"]
    assert listed["id"].replace("-", "") == made.id.removeprefix("file-")
    assert listed["collection"] == "default"
    assert listed["job"]["kind"] == "ingest_file"
    native = (await client.post("/v1/files?name=b.txt", content=b"bb")).json()
    shown = await package.files.retrieve(f"file-{native['id'].replace('-', '')}")
    assert (shown.filename, shown.bytes, shown.purpose) == ("b.txt", 2, "assistants")


async def test_lists_are_walked_page_by_page_in_either_order(package: AsyncOpenAI) -> None:
    names = [f"{number}.txt" for number in range(5)]
    for name in names:
        purpose = "user_data" if name == "3.txt" else "assistants"
        await package.files.create(file=(name, name.encode()), purpose=purpose)  # type: ignore[arg-type] # one of the two
    newest_first = [each.filename async for each in package.files.list(limit=2)]
    assert newest_first == names[::-1]
    oldest_first = [each.filename async for each in package.files.list(limit=2, order="asc")]
    assert oldest_first == names
    page = await package.files.list(limit=2, order="asc")
    assert (page.has_more, [each.filename for each in page.data]) == (True, names[:2])
    of_purpose = {
        purpose: [each.filename async for each in package.files.list(purpose=purpose, order="asc")]
        for purpose in ("assistants", "user_data")
    }
    assert of_purpose["user_data"] == ["3.txt"]
    assert of_purpose["assistants"] == ["0.txt", "1.txt", "2.txt", "4.txt"]


async def test_all_files_are_deleted_while_their_list_is_walked(package: AsyncOpenAI) -> None:
    for number in range(5):
        await package.files.create(file=(f"{number}.txt", b"x"), purpose="assistants")
    async for each in package.files.list(limit=2):
        await package.files.delete(each.id)
    assert (await package.files.list()).data == []


async def test_a_file_says_how_its_reading_ended(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture, client: httpx.AsyncClient
) -> None:
    made = await package.files.create(file=("a.txt", b"a"), purpose="assistants")
    (native,) = (await client.get("/v1/files")).json()["data"]
    for state, status, details in (
        ("ready", "processed", None),
        ("failed", "error", "the file is failed"),
        ("quarantined", "error", "the file is quarantined"),
    ):
        await set_state(database, tenant.access, native["id"], state)
        shown = await package.files.retrieve(made.id)
        assert (shown.status, shown.status_details) == (status, details)


async def test_a_file_lies_where_it_is_said_to(
    package: AsyncOpenAI, client: httpx.AsyncClient
) -> None:
    private = {"name": "drawer", "visibility": "private"}
    await client.post("/v1/collections", json=private)
    await package.files.create(
        file=("a.txt", b"a"), purpose="assistants", extra_body={"collection": "drawer"}
    )
    (listed,) = (await client.get("/v1/files")).json()["data"]
    assert listed["collection"] == "drawer"
    with pytest.raises(openai.BadRequestError) as refused:
        await package.files.create(
            file=("a.txt", b"a"), purpose="assistants", extra_body={"collection": "nowhere"}
        )
    assert refused.value.param == "collection"


async def test_what_is_not_done_is_refused(package: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await package.files.create(
            file=("a.txt", b"a"),
            purpose="assistants",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "expires_after")
    with pytest.raises(openai.BadRequestError) as refused:
        await package.files.create(file=("a.txt", b"a"), purpose="fine-tune")
    assert refused.value.param == "purpose"
    assert (await package.files.list()).data == [], "nothing of what was refused stays"


async def test_errors_have_the_form_of_openai_and_the_id_of_the_request(
    package: AsyncOpenAI, api: ApiProcess, client: httpx.AsyncClient
) -> None:
    with pytest.raises(openai.NotFoundError) as absent:
        await package.files.retrieve("file-0198c5f27a3e7c4b9d510a6f4e2b8c11")
    assert absent.value.request_id
    assert absent.value.type == "invalid_request_error"
    assert absent.value.code == "not_found"
    for path, status in (
        ("/openai/v1/files/garbage", 404),
        ("/openai/v1/nothing", 404),
        ("/openai/v1/files?limit=x", 400),
        ("/openai/v1/files?after=%00", 400),
    ):
        answer = await client.get(path)
        assert (answer.status_code, set(answer.json())) == (status, {"error"}), path
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.headers["X-Request-Id"]
    wrong_method = await client.put("/openai/v1/files", json={})
    assert (wrong_method.status_code, set(wrong_method.json())) == (405, {"error"})
    raw = await client.post("/openai/v1/files?name=x", content=b"no form")
    assert (raw.status_code, raw.json()["error"]["code"]) == (415, "unsupported_media_type")
    async with async_openai_client(api, "mun_wrong") as nobody:
        with pytest.raises(openai.AuthenticationError) as unknown:
            await nobody.files.list()
    assert unknown.value.code == "invalid_api_key"
    problem = await client.get("/v1/files/garbage")
    assert problem.headers["content-type"] == "application/problem+json"


async def test_another_tenants_file_is_not_found(
    package: AsyncOpenAI, api: ApiProcess, other_tenant: TenantFixture
) -> None:
    made = await package.files.create(file=("a.txt", b"a"), purpose="assistants")
    async with async_openai_client(api, other_tenant.api_key) as stranger:
        for ask in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
            with pytest.raises(openai.NotFoundError) as absent:
                await ask(made.id)
            assert "there is no such file" in absent.value.message
        assert (await stranger.files.list()).data == []
        with pytest.raises(openai.NotFoundError):
            await stranger.files.list(after=made.id)


async def test_a_reader_deletes_nothing(
    package: AsyncOpenAI, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = await package.files.create(file=("a.txt", b"a"), purpose="assistants")
    reader = make_tenant(postgres_dsn, tenant.name, principal="reader", is_admin=False)
    async with client_of(api, tenant.api_key) as owner:
        uuid = made.id.removeprefix("file-")
        given = {"principal_id": str(reader.principal_id), "file_id": uuid, "level": "read"}
        assert (await owner.post("/v1/grants", json=given)).status_code == 201
    async with async_openai_client(api, reader.api_key) as package_of_reader:
        assert (await package_of_reader.files.retrieve(made.id)).id == made.id
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await package_of_reader.files.delete(made.id)
    assert refused.value.type == "permission_error"
