"""Resumable uploads by the protocol's own clients: tuspy, and tus-js-client where npm can fetch it."""

import asyncio
import json
import os
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.uploader import Uploader

from tests.api.conftest import ApiProcess
from tests.api.tus import content_of
from tests.conftest import REPOSITORY, TenantFixture

TUS_JS_CLIENT = "tus-js-client@4.3.1"
SCRIPT = Path(__file__).parent / "tus_js_client.cjs"
CHUNK = 1_000_000


@pytest.fixture(params=["folder_api", "s3_api"], ids=["folder", "s3"])
def api(request: pytest.FixtureRequest) -> ApiProcess:
    """Over either kind of store."""
    found: ApiProcess = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "document.bin"
    path.write_bytes(os.urandom(5 * CHUNK + 123))
    return path


@pytest.fixture
def tuspy(api: ApiProcess, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch) -> TusClient:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    headers = {"Authorization": f"Bearer {tenant.api_key}"}
    return TusClient(f"{api.url}/v1/uploads", headers=headers)


def named(uploader: Uploader) -> str:
    """The file that the last answer named."""
    return str(uploader.request.response_headers["muniment-file"])


@pytest.mark.parametrize("with_checksum", [False, True])
async def test_tuspy_sends_in_chunks(
    client: httpx.AsyncClient, tuspy: TusClient, document: Path, with_checksum: bool
) -> None:
    uploader = tuspy.uploader(
        file_stream=BytesIO(document.read_bytes()),
        chunk_size=CHUNK,
        metadata={"filename": "übung.bin"},
        upload_checksum=with_checksum,
    )
    await asyncio.to_thread(uploader.upload)
    file_id = named(uploader)
    assert (await client.get(f"/v1/files/{file_id}")).json()["name"] == "übung.bin"
    assert await content_of(client, file_id) == document.read_bytes()


async def test_tuspy_resumes_where_it_stopped(
    client: httpx.AsyncClient, tuspy: TusClient, document: Path
) -> None:
    content = BytesIO(document.read_bytes())
    stopped = tuspy.uploader(file_stream=content, chunk_size=CHUNK, metadata={"filename": "a.bin"})
    await asyncio.to_thread(stopped.upload, 2 * CHUNK)
    resumed = await asyncio.to_thread(tuspy.uploader, file_stream=content, url=stopped.url)
    assert resumed.offset == 2 * CHUNK
    await asyncio.to_thread(resumed.upload)
    assert await content_of(client, named(resumed)) == document.read_bytes()


@pytest.fixture(scope="session")
def node_path() -> str:
    """Where Node finds tus-js-client."""
    folder = REPOSITORY / ".cache" / "tus-js-client"
    npm, modules = shutil.which("npm"), folder / "node_modules"
    if not (modules / "tus-js-client").is_dir():
        if npm is None or shutil.which("node") is None:
            pytest.skip("node or npm is absent: tus-js-client is not tried")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", TUS_JS_CLIENT]
        fetched = subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
        if fetched.returncode:
            pytest.skip("npm cannot fetch tus-js-client")
    return str(modules)


@pytest.mark.parametrize(
    "wanted",
    [
        {"options": {}},
        {"options": {"chunkSize": CHUNK}},
        {"options": {"chunkSize": CHUNK, "uploadDataDuringCreation": True}},
        {"options": {"chunkSize": CHUNK, "uploadLengthDeferred": True}},
        {"options": {"parallelUploads": 3}},
        {"options": {"chunkSize": CHUNK, "overridePatchMethod": True}},
        {"options": {"chunkSize": CHUNK}, "stopAfter": 2 * CHUNK},
    ],
    ids=["whole", "chunks", "with-creation", "deferred", "parallel", "override", "resumed"],
)
async def test_tus_js_client_sends(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    document: Path,
    node_path: str,
    wanted: dict[str, Any],
) -> None:
    result = await _by_node(api, tenant, document, node_path, wanted)
    assert result["stops"] == (1 if "stopAfter" in wanted else 0)
    assert await content_of(client, result["file"]) == document.read_bytes()


async def test_tus_js_client_terminates(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    document: Path,
    node_path: str,
) -> None:
    wanted = {"options": {"chunkSize": CHUNK}, "stopAfter": CHUNK, "terminate": True}
    assert await _by_node(api, tenant, document, node_path, wanted) == {"file": None, "stops": 1}
    assert (await client.get("/v1/files")).json()["data"] == []
    audit = (await client.get("/v1/audit")).json()["data"]
    assert [each["action"] for each in audit] == ["upload.terminated", "upload.created"]


async def _by_node(
    api: ApiProcess, tenant: TenantFixture, path: Path, node_path: str, wanted: dict[str, Any]
) -> dict[str, Any]:
    argument = {
        "endpoint": f"{api.url}/v1/uploads",
        "key": tenant.api_key,
        "path": str(path),
        **wanted,
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPT),
        json.dumps(argument),
        env={**os.environ, "NODE_PATH": node_path, "NO_PROXY": "127.0.0.1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    result: dict[str, Any] = json.loads(output)
    return result
