"""A real API process over the session's PostgreSQL and Temporal, and clients that talk to it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.batch.activity import Batches
from db.session import Database
from muniment.contracts import queues
from muniment.payloads import data_converter, load_payload_keys
from tests.api.answering_workflow import AnsweringWorkflow
from tests.conformance.s3_server import S3Bucket, S3Server, serving_s3
from tests.conftest import REPOSITORY, TenantFixture, end_what_runs, free_port
from tests.model_process import ModelServer, serving_models
from tests.patience import on_a_busy_machine
from tests.retrieval.model_answers import SECRET
from workflows.ingest_batch import IngestBatch

START_SECONDS = 60


@dataclass
class ApiProcess:
    """`python -m api` with a home of its own; its ciphertexts lie there too, or in the bucket."""

    url: str
    home: Path
    bucket: S3Bucket | None
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def objects(self) -> Path:
        """The folder in which the ciphertexts lie, as an S3 server's as well."""
        return (self.bucket.folder if self.bucket else self.home) / "objects"

    @property
    def log_lines(self) -> list[dict[str, object]]:
        text = (self.home / "api.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    @property
    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stored_objects(self, tenant_id: UUID) -> list[Path]:
        """Ciphertexts and wrapped keys of the tenant, and unfinished uploads of anyone."""
        folders = (
            self.objects / str(tenant_id),
            self.home / "keys" / "wrapped" / str(tenant_id),
            self.objects / ".uploads",
            self.home / "keys" / "wrapped" / ".uploads",
        )
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def start_api(
    home: Path,
    environment: dict[str, str],
    bucket: S3Bucket | None = None,
    *,
    has_cold_store: bool = True,
) -> ApiProcess:
    """Starts the process and returns once it serves; with a bucket its objects lie there."""
    port = int(environment.get("MUNIMENT_API__PORT") or free_port())
    home.mkdir(exist_ok=True)
    complete = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MUNIMENT_API__PORT": str(port),
        "MUNIMENT_OBJECTS__ROOT": str(home / "objects"),
        "MUNIMENT_KEYS__ROOT": str(home / "keys"),
        **(bucket.environment("OBJECTS") if bucket else {}),
        **(_cold_store(home) if has_cold_store else {}),
        **environment,
    }
    with (home / "api.jsonl").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"], cwd=REPOSITORY, env=complete, stdout=log, stderr=log
        )
    scheme = "https" if "MUNIMENT_API__TLS_CERTIFICATE" in environment else "http"
    api = ApiProcess(f"{scheme}://127.0.0.1:{port}", home, bucket, environment, process)
    deadline = time.monotonic() + on_a_busy_machine(START_SECONDS)
    while time.monotonic() < deadline:
        assert process.poll() is None, (home / "api.jsonl").read_text(encoding="utf-8")[-3000:]
        try:
            httpx.get(f"{api.url}/healthz", timeout=2, trust_env=False, verify=False)  # noqa: S501
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return api
    process.kill()
    process.wait()
    raise AssertionError("the API did not serve in time")


def _cold_store(home: Path) -> dict[str, str]:
    return {
        "MUNIMENT_COLD_STORE__BACKEND": "filesystem",
        "MUNIMENT_COLD_STORE__ROOT": str(home / "cold"),
    }


def stop_api(api: ApiProcess) -> int:
    """Its exit code after SIGTERM."""
    if api.process.poll() is None:
        api.process.send_signal(signal.SIGTERM)
    try:
        return api.process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        api.process.kill()
        return api.process.wait()


@pytest.fixture(scope="session")
def api_environment(application_dsn: str, temporal_address: str) -> dict[str, str]:
    return {
        "MUNIMENT_DATABASE__URL": application_dsn,
        "MUNIMENT_TEMPORAL__ADDRESS": temporal_address,
        "MUNIMENT_TEMPORAL__UI_URL": "http://temporal.test:8233",
        "MUNIMENT_FINDINGS__MASKING": "true",
        # No worker serves the views of these tests.
        "MUNIMENT_API__VIEW_TIMEOUT_SECONDS": "1",
        "MUNIMENT_API__MAX_UPLOAD_BYTES": str(400 * 1024 * 1024),
        "MUNIMENT_IMPORTS__SOURCES": json.dumps(
            [
                {"name": "open", "tenants": ["*"], "folder": "/nowhere/open"},
                {"name": "foreign", "tenants": ["somebody-else"], "folder": "/nowhere/foreign"},
            ]
        ),
    }


@pytest.fixture(scope="package")
def folder_api(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """One for all tests of this folder; what comes after them needs its memory."""
    api = start_api(tmp_path_factory.mktemp("api"), api_environment)
    yield api
    assert stop_api(api) == 0


@pytest.fixture(scope="package")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="package")
def s3_api(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory, s3: S3Server
) -> Iterator[ApiProcess]:
    """Another one, whose objects lie on an S3 server."""
    api = start_api(tmp_path_factory.mktemp("s3-api"), api_environment, s3.new_bucket())
    yield api
    assert stop_api(api) == 0


@pytest.fixture(scope="package")
def server() -> Iterator[ModelServer]:
    """Language models of the tests, in a process of their own."""
    with serving_models() as server:
        yield server


@pytest.fixture(scope="package")
def models_api(
    api_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    server: ModelServer,
) -> Iterator[ApiProcess]:
    """Another one, which asks language models: the first answers at once, the second hardly ever."""
    providers = [
        {"name": name, "url": f"{server.url}/v1", "model": model, "api_key": SECRET, "local": local}
        for name, model, local in (("hosted", "faithful@10,30", False), ("own", "slow@20000", True))
    ]
    settings = {"MUNIMENT_MODELS__PROVIDERS": json.dumps(providers)}
    api = start_api(tmp_path_factory.mktemp("models-api"), {**api_environment, **settings})
    yield api
    assert stop_api(api) == 0


@pytest.fixture(scope="package")
def api(folder_api: ApiProcess) -> ApiProcess:
    """What tests speak to that do not name a store."""
    return folder_api


def client_of(api: ApiProcess, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=api.url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
        trust_env=False,
    )


@pytest.fixture
async def client(api: ApiProcess, tenant: TenantFixture) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks as the tenant's administrator."""
    async with client_of(api, tenant.api_key) as client:
        yield client


@pytest.fixture
async def stranger(
    api: ApiProcess, other_tenant: TenantFixture
) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks as another tenant's administrator."""
    async with client_of(api, other_tenant.api_key) as client:
        yield client


@pytest.fixture
async def worker(api: ApiProcess, temporal_address: str, database: Database) -> AsyncIterator[None]:
    """Batches in earnest; every ingestion answers for itself and does nothing."""
    converter = data_converter(load_payload_keys(api.home / "keys" / "payload.key"))
    client = await Client.connect(temporal_address, data_converter=converter)
    activities = Batches(database)
    await end_what_runs(client)  # else this worker first gets the tasks of all earlier tests
    async with Worker(
        client,
        task_queue=queues.WORKFLOWS,
        workflows=[IngestBatch, AnsweringWorkflow],
        activities=[activities.admit_files, activities.watch_jobs, activities.record_batch],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield


def audit_actions(postgres_dsn: str, tenant_id: UUID) -> list[str]:
    """What was audited for the tenant, oldest first."""
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT action FROM audit_event WHERE tenant_id = %s ORDER BY at", (tenant_id,)
        ).fetchall()
    return [row[0] for row in rows]
