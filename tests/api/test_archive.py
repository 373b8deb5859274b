"""Many files as one ZIP archive."""

import asyncio
import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from api import sending
from api.files.archive import ArchiveResponse
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.conftest import TenantFixture, make_tenant

PATH = "/v1/files/archive"
MIB = 1024 * 1024


async def add(client: httpx.AsyncClient, name: str, content: bytes, **fields: str) -> str:
    parameters = {"name": name, **fields}
    answer = await client.post("/v1/files", content=content, params=parameters)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def pack(client: httpx.AsyncClient, *files: str | tuple[str, int]) -> httpx.Response:
    return await client.post(PATH, json={"files": [listed(each) for each in files]})


def listed(file: str | tuple[str, int]) -> dict[str, object]:
    return {"id": file} if isinstance(file, str) else {"id": file[0], "version": file[1]}


def unpacked(answer: httpx.Response) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.testzip() is None
        return {each.filename: opened.read(each) for each in opened.infolist()}


async def test_files_come_in_their_order_with_all_their_bytes(client: httpx.AsyncClient) -> None:
    words = b"many words " * 200_000
    noise = os.urandom(3 * MIB)
    ids = [
        await add(client, "words.txt", words),
        await add(client, "noise.bin", noise),
        await add(client, "small.txt", b"s"),
    ]
    answer = await pack(client, *ids)
    found = unpacked(answer)
    assert found == {"words.txt": words, "noise.bin": noise, "small.txt": b"s"}
    assert list(found) == ["words.txt", "noise.bin", "small.txt"]
    assert answer.headers["Content-Type"] == "application/zip"
    assert 'filename="files.zip"' in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer.headers["Cache-Control"]
    assert len(answer.content) < len(noise) + len(words) // 10


@pytest.mark.skipif(shutil.which("unzip") is None, reason="there is no unzip")
async def test_unzip_takes_it(client: httpx.AsyncClient, tmp_path: Path) -> None:
    names = ["résumé – 日本.pdf", "a.txt", "A.txt"]
    ids = [await add(client, name, name.encode()) for name in names]
    target = tmp_path / "files.zip"
    target.write_bytes((await pack(client, *ids)).content)
    run = await asyncio.to_thread(
        subprocess.run,
        ["unzip", "-q", "-d", tmp_path / "out", target],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = {path.name: path.read_text("utf-8") for path in (tmp_path / "out").iterdir()}
    assert found == {
        "résumé – 日本.pdf": "résumé – 日本.pdf",
        "a.txt": "a.txt",
        "A (2).txt": "A.txt",
    }


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\Windows\\a.dll", "C__Windows_a.dll"),
        ("x\r\ny\x1b.txt", "x__y_.txt"),
        ("\u202egpj.exe", "_gpj.exe"),
        ("NUL.tar.gz", "_NUL.tar.gz"),
        ("com¹ .txt", "_com¹ .txt"),
        ("...", "_"),
        ("a.txt. . ", "a.txt"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("n" * 900 + ".pdf", "n" * 236 + ".pdf"),
        ("日" * 900 + ".pdf", "日" * 78 + ".pdf"),
    ],
)
async def test_names_are_safe_on_every_system(
    client: httpx.AsyncClient, name: str, inside: str
) -> None:
    assert unpacked(await pack(client, await add(client, name, b"x"))) == {inside: b"x"}


async def test_equal_names_are_numbered_and_equal_wishes_met_once(
    client: httpx.AsyncClient,
) -> None:
    ids = [
        await add(client, name, name.encode() + bytes([number]))
        for number, name in enumerate(["a.txt", "a (2).txt", "a.txt", "A.TXT", "a?.txt", "a*.txt"])
    ]
    found = unpacked(await pack(client, *ids, ids[0]))
    assert list(found) == [
        "a.txt", "a (2).txt", "a (3).txt", "A (4).TXT", "a_.txt", "a_ (2).txt",
    ]  # fmt: skip


async def test_a_version_comes_under_the_name_that_it_had(client: httpx.AsyncClient) -> None:
    file_id = await add(client, "old.txt", b"one")
    await client.post(f"/v1/files/{file_id}/versions?name=old.txt", content=b"two")
    await client.patch(f"/v1/files/{file_id}", json={"name": "new.txt"})
    found = unpacked(await pack(client, (file_id, 1), (file_id, 2), file_id))
    assert (found["old.txt"], found["old (2).txt"]) == (b"one", b"two")
    single = await client.get(f"/v1/files/{file_id}/content")
    assert found["new.txt"] == single.content
    absent = await pack(client, file_id, (file_id, 3))
    assert absent.status_code == 404
    assert absent.json()["errors"][0]["field"] == "files.1.id"


async def test_the_archive_has_the_name_that_was_wished(client: httpx.AsyncClient) -> None:
    file_id = await add(client, "a.txt", b"a")
    body = {"files": [{"id": file_id}], "name": 'case "12"\r\nX: y'}
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200
    assert "x" not in answer.headers
    assert answer.headers["Content-Disposition"].endswith(
        "filename*=UTF-8''case%20%2212%22__X%3A%20y.zip"
    )


async def test_every_file_is_audited_as_downloaded(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    ids = [await add(client, f"{number}.txt", bytes([number])) for number in range(3)]
    assert (await pack(client, *ids)).status_code == 200
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("file.downloaded") == 3


async def test_one_stranger_refuses_the_whole_and_is_not_told_from_nothing(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    own = await add(client, "own.txt", b"own")
    foreign = await add(stranger, "foreign.txt", b"foreign")
    answers = [await pack(client, own, other) for other in (foreign, str(uuid4()))]
    assert {answer.status_code for answer in answers} == {404}
    told = [{**answer.json(), "request_id": ""} for answer in answers]
    assert told[0] == told[1]
    assert [each["field"] for each in told[0]["errors"]] == ["files.1.id"]
    assert "file.downloaded" not in audit_actions(postgres_dsn, tenant.tenant_id)


async def test_a_file_of_the_tenant_that_the_caller_may_not_read_is_404(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    await client.post("/v1/collections", json={"name": "drawer", "visibility": "private"})
    hidden = await add(client, "hidden.txt", b"hidden", collection="drawer")
    shown = await add(client, "shown.txt", b"shown")
    clerk = make_tenant(
        postgres_dsn, tenant.name, principal="c", is_admin=False, scopes=("files:read",)
    )
    async with client_of(api, clerk.api_key) as limited:
        assert (await limited.get(f"/v1/files/{hidden}/content")).status_code == 404
        assert (await pack(limited, shown, hidden)).status_code == 404
        assert (await pack(limited, shown)).status_code == 200


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("quarantined", 409),
        ("rejected", 409),
        ("restricted", 409),
        ("trashed", 409),
        ("erasing", 410),
        ("erased", 410),
    ],
)
async def test_what_is_withheld_singly_is_withheld_here(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
    state: str,
    status: int,
) -> None:
    ids = [await add(client, f"{number}.txt", bytes([number])) for number in range(2)]
    _update(postgres_dsn, "UPDATE file SET state = %s WHERE id = %s", state, ids[1])
    reader = make_tenant(postgres_dsn, tenant.name, principal="r", scopes=("files:read",))
    async with client_of(api, reader.api_key) as limited:
        single = await limited.get(f"/v1/files/{ids[1]}/content")
        answer = await pack(limited, *ids)
    assert (single.status_code, answer.status_code) == (status, status)
    assert answer.json()["detail"] == single.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "files.1.id"


async def test_an_infected_version_is_withheld_here_too(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file_id = await add(client, "a.txt", b"a")
    _update(postgres_dsn, "UPDATE file SET state = %s WHERE id = %s", "ready", file_id)
    _update(
        postgres_dsn,
        "UPDATE file_version SET scan_state = %s WHERE file_id = %s",
        "infected",
        file_id,
    )
    reader = make_tenant(postgres_dsn, tenant.name, principal="r", scopes=("files:read",))
    async with client_of(api, reader.api_key) as limited:
        assert (await pack(limited, (file_id, 1))).status_code == 409
    assert (await pack(client, (file_id, 1))).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": []},
        {"files": [{"id": "no id"}]},
        {"files": [{"id": str(UUID(int=1)), "version": 0}]},
        {"files": [{"id": str(UUID(int=1))}], "name": ""},
        {"files": [{"id": str(UUID(int=1))}], "more": 1},
        {"files": [{"id": str(UUID(int=number))} for number in range(1001)]},
    ],
)
async def test_what_is_no_list_of_files_is_422(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


async def test_as_many_files_as_are_allowed_are_packed(client: httpx.AsyncClient) -> None:
    file_id = await add(client, "a.txt", b"0")
    for number in range(1, 30):
        await client.post(f"/v1/files/{file_id}/versions?name=a.txt", content=b"%d" % number)
    found = unpacked(await pack(client, *[(file_id, number) for number in range(1, 31)]))
    assert sorted(found.values(), key=int) == [b"%d" % number for number in range(30)]
    assert "a (30).txt" in found


async def test_memory_is_flat_whatever_is_packed(
    client: httpx.AsyncClient, api: ApiProcess
) -> None:
    content = bytes(96 * MIB)
    ids = [await add(client, f"{number}.bin", content) for number in range(3)]
    await pack(client, await add(client, "warm.txt", b"warm"))
    before = api.resident_bytes
    highest = before
    received = 0
    body = {"files": [{"id": each} for each in ids]}
    async with client.stream("POST", PATH, json=body) as answer:
        assert answer.status_code == 200
        async for chunk in answer.aiter_raw():
            received += len(chunk)
            highest = max(highest, api.resident_bytes)
    assert received < 3 * MIB
    assert highest - before < 48 * MIB


async def test_a_broken_file_breaks_the_connection(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    whole = await add(client, "whole.txt", b"whole")
    broken = await add(client, "broken.bin", os.urandom(4 * MIB))
    _flip_a_byte_near_the_end(api, tenant.tenant_id, 4 * MIB)
    received = io.BytesIO()

    async def read_on() -> None:
        body = {"files": [listed(broken), listed(whole)]}
        async with client.stream("POST", PATH, json=body) as answer:
            assert answer.status_code == 200
            async for chunk in answer.aiter_raw():
                received.write(chunk)

    with pytest.raises(httpx.RemoteProtocolError):
        await read_on()
    assert received.tell()
    assert not zipfile.is_zipfile(received)
    assert (await pack(client, whole)).status_code == 200


async def test_a_file_that_is_broken_from_the_start_is_a_problem(
    client: httpx.AsyncClient, api: ApiProcess, tenant: TenantFixture
) -> None:
    broken = await add(client, "broken.bin", os.urandom(9_000))
    _flip_a_byte_near_the_end(api, tenant.tenant_id, 9_000)
    answer = await pack(client, broken)
    single = await client.get(f"/v1/files/{broken}/content")
    assert answer.status_code == single.status_code == 500
    assert answer.json()["type"] == single.json()["type"] == "urn:muniment:problem:seal-broken"


async def test_archives_are_bounded_and_a_client_that_leaves_makes_room(
    api_environment: dict[str, str],
    api: ApiProcess,
    client: httpx.AsyncClient,
    tenant: TenantFixture,
) -> None:
    large = await add(client, "large.bin", os.urandom(48 * MIB))
    environment = {**api_environment, "MUNIMENT_API__MAX_CONCURRENT_ARCHIVES": "1"}
    logged = len(api.log_lines)
    small = start_api(api.home, environment)
    try:
        async with client_of(small, tenant.api_key) as viewer:
            async with viewer.stream("POST", PATH, json={"files": [{"id": large}]}) as answer:
                assert answer.status_code == 200
                chunks = answer.aiter_raw()
                await anext(chunks)
                refused = await pack(viewer, large)
                assert refused.status_code == 429
                assert refused.headers["Retry-After"]
            little = await add(viewer, "little.txt", b"little")
            async with asyncio.timeout(60):
                while not (await pack(viewer, little)).is_success:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
    finally:
        assert await asyncio.to_thread(stop_api, small) == 0
    unforeseen = [
        line for line in small.log_lines[logged:] if line["event"] == "an unexpected error"
    ]
    assert not unforeseen


async def test_a_client_that_stops_reading_gives_its_place_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "SEND_SECONDS", 0.05)
    closed = asyncio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"piece"
        finally:
            closed.set()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        await ArchiveResponse(body(), {})({"type": "http"}, receive, send)
    assert closed.is_set()


def _update(postgres_dsn: str, statement: str, value: str, file_id: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(statement.encode(), (value, file_id))


def _flip_a_byte_near_the_end(api: ApiProcess, tenant_id: UUID, size: int) -> None:
    (stored,) = (path for path in api.stored_objects(tenant_id) if path.stat().st_size >= size)
    stored.chmod(0o600)
    with stored.open("r+b") as opened:
        opened.seek(-100, os.SEEK_END)
        byte = opened.read(1)
        opened.seek(-100, os.SEEK_END)
        opened.write(bytes([byte[0] ^ 1]))
