"""What no scan has ended for is not handed out, at any door, where there is a scanner to wait for."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.sharing import change, scanned, share, visitor
from tests.conftest import TenantFixture, make_tenant

PENDING = "urn:muniment:problem:scan-pending"
SCOPES = ("files:read", "files:write", "shares:manage")
DOORS = ("content", "text", "pages", "pages/1/image", "thumbnail", "document", "markdown", "chunks")


@pytest.fixture(scope="module")
def awaiting_api(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """An API that is told of a scanner. None answers there: verdicts are written as it would."""
    scanner = {"MUNIMENT_SCAN__SOCKET": "127.0.0.1:1", "MUNIMENT_SHARING__REQUIRE_CLEAN": "false"}
    api = start_api(tmp_path_factory.mktemp("awaiting"), {**api_environment, **scanner})
    yield api
    assert stop_api(api) == 0


@pytest.fixture
async def reader(
    awaiting_api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Uploads and reads, and decides about nothing."""
    made = make_tenant(postgres_dsn, tenant.name, principal="reader", scopes=SCOPES)
    async with client_of(awaiting_api, made.api_key) as client:
        yield client


async def add(client: httpx.AsyncClient, name: str = "a.txt", content: bytes = b"content") -> str:
    answer = await client.post("/v1/files", params={"name": name}, content=content)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def assert_pending(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["type"]) == (409, PENDING), answer.text
    assert int(answer.headers["Retry-After"]) > 0


async def test_content_is_not_served_before_its_scan_has_ended(
    reader: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = await add(reader)
    for door in DOORS:
        assert_pending(await reader.get(f"/v1/files/{file_id}/{door}"))
    assert_pending(await reader.get(f"/v1/files/{file_id}/content?version=1"))
    assert (await reader.head(f"/v1/files/{file_id}/content")).status_code == 409
    other = await add(reader, "b.txt", b"another")
    scanned(postgres_dsn, other, "clean")
    answer = await reader.post(
        "/v1/files/archive", json={"files": [{"id": other}, {"id": file_id}]}
    )
    assert_pending(answer)
    assert answer.json()["errors"][0]["field"] == "files.1.id"
    scanned(postgres_dsn, file_id, "clean")
    answer = await reader.get(f"/v1/files/{file_id}/content")
    assert (answer.status_code, answer.content) == (200, b"content")


async def test_a_new_version_waits_while_its_file_shows_the_former(
    reader: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = await add(reader)
    scanned(postgres_dsn, file_id, "clean")
    change(postgres_dsn, "UPDATE file_version SET published_at = now() WHERE file_id = %s", file_id)
    await reader.post(f"/v1/files/{file_id}/versions", content=b"newer")
    assert (await reader.get(f"/v1/files/{file_id}/content")).content == b"content"
    assert_pending(await reader.get(f"/v1/files/{file_id}/content?version=2"))


async def test_whoever_would_wait_for_ever_is_told_to_retry_the_job(
    reader: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = await add(reader)
    ended = "UPDATE job SET state = 'cancelled', finished_at = now() WHERE file_id = %s"
    change(postgres_dsn, ended, file_id)
    answer = await reader.get(f"/v1/files/{file_id}/content")
    assert (answer.status_code, answer.json()["remedy"]) == (409, "Retry the job.")
    assert "Retry-After" not in answer.headers


async def test_who_decides_about_quarantine_may_look(
    awaiting_api: ApiProcess, tenant: TenantFixture
) -> None:
    async with client_of(awaiting_api, tenant.api_key) as administrator:
        file_id = await add(administrator)
        assert (await administrator.get(f"/v1/files/{file_id}/content")).content == b"content"


@pytest.mark.parametrize("state", ["clean", "unscanned"])
async def test_a_verdict_that_lets_pass_ends_the_wait(
    reader: httpx.AsyncClient, postgres_dsn: str, state: str
) -> None:
    file_id = await add(reader)
    scanned(postgres_dsn, file_id, state)
    assert (await reader.get(f"/v1/files/{file_id}/content")).status_code == 200


async def test_a_link_serves_nothing_before_the_scan_has_ended(
    awaiting_api: ApiProcess, reader: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = await add(reader)
    link = await share(reader, file_id)
    async with visitor(awaiting_api) as anybody:
        assert (await anybody.get(link.content)).status_code == 404
        scanned(postgres_dsn, file_id, "unscanned")
        assert (await anybody.get(link.content)).status_code == 200


@pytest.fixture
def strict_api(api_environment: dict[str, str], tmp_path: Path) -> Iterator[ApiProcess]:
    """An API that requires a scan, and has no scanner."""
    strict = {"MUNIMENT_SCAN__REQUIRED": "true", "MUNIMENT_SHARING__REQUIRE_CLEAN": "false"}
    api = start_api(tmp_path, {**api_environment, **strict})
    yield api
    assert stop_api(api) == 0


async def test_where_a_scan_is_required_what_no_scanner_saw_waits_for_a_person(
    strict_api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn, tenant.name, principal="reader", scopes=SCOPES)
    async with client_of(strict_api, made.api_key) as reader, visitor(strict_api) as anybody:
        file_id = await add(reader)
        assert_pending(await reader.get(f"/v1/files/{file_id}/content"))
        link = await share(reader, file_id)
        scanned(postgres_dsn, file_id, "unscanned")
        answer = await reader.get(f"/v1/files/{file_id}/content")
        assert (answer.status_code, answer.json()["detail"]) == (409, "this version is unscanned")
        assert (await anybody.get(link.content)).status_code == 404
        published = "UPDATE file_version SET published_at = now() WHERE file_id = %s"
        change(postgres_dsn, published, file_id)
        assert (await reader.get(f"/v1/files/{file_id}/content")).status_code == 200
        assert (await anybody.get(link.content)).status_code == 200


def decided(postgres_dsn: str, file_id: str, verdict: str) -> None:
    """As a person who was asked would; no workflow is told."""
    change(
        postgres_dsn,
        "INSERT INTO decision (id, tenant_id, job_id, principal_id, verdict, created_at)"
        " SELECT gen_random_uuid(), job.tenant_id, job.id, principal.id, %s, now()"
        " FROM job JOIN principal ON principal.tenant_id = job.tenant_id"
        " WHERE job.file_id = %s ORDER BY principal.id LIMIT 1",
        verdict,
        file_id,
    )


async def test_what_was_released_is_served_though_it_could_not_be_read(
    strict_api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn, tenant.name, principal="reader", scopes=SCOPES)
    failed = "UPDATE file SET state = 'failed' WHERE id = %s"
    async with client_of(strict_api, made.api_key) as reader:
        released, rejected, scanned_anew = [await add(reader, name) for name in "abc"]
        for file_id in (released, rejected, scanned_anew):
            scanned(postgres_dsn, file_id, "unscanned")
            decided(postgres_dsn, file_id, "release")
            change(postgres_dsn, failed, file_id)
            path = f"/v1/files/{file_id}/content"
            assert (await reader.get(path)).content == b"content"
        decided(postgres_dsn, rejected, "reject")
        scanned(postgres_dsn, scanned_anew, "infected")
        for file_id in (rejected, scanned_anew):
            answer = await reader.get(f"/v1/files/{file_id}/content")
            assert answer.status_code == 409, answer.text
            assert "retry" in answer.json()["remedy"]
        assert (await reader.get(f"/v1/files/{released}/content")).status_code == 200


@pytest.fixture
def hasty_api(api_environment: dict[str, str], tmp_path: Path) -> Iterator[ApiProcess]:
    """An API that is told of a scanner, and not to wait for it."""
    hasty = {"MUNIMENT_SCAN__SOCKET": "127.0.0.1:1", "MUNIMENT_SCAN__AWAIT_VERDICT": "false"}
    api = start_api(tmp_path, {**api_environment, **hasty})
    yield api
    assert stop_api(api) == 0


async def test_the_operator_may_have_content_served_at_once(
    hasty_api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn, tenant.name, principal="reader", scopes=SCOPES)
    async with client_of(hasty_api, made.api_key) as reader:
        file_id = await add(reader)
        assert (await reader.get(f"/v1/files/{file_id}/content")).content == b"content"
        scanned(postgres_dsn, file_id, "infected")
        assert (await reader.get(f"/v1/files/{file_id}/content")).status_code == 409
