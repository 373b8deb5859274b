"""A tenant's files through their lives, in any order: uploaded, given versions, shared, trashed, restored,
erased for good. At each step the API answers as a model of a few lines does."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    multiple,
    rule,
    run_state_machine_as_test,
)
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.erasure.activity import Erasure
from activities.erasure.ledger import ErasureLedger
from db.session import Database
from muniment.contracts import queues
from muniment.payloads import data_converter, load_payload_keys
from muniment.settings import KeySettings, ObjectSettings, Settings
from muniment.stores import open_stores
from tests.api.answering_workflow import AnsweringWorkflow
from tests.api.conftest import ApiProcess
from tests.conftest import end_what_runs, make_tenant
from tests.stack import wait_for
from workflows.erase_file import EraseFile

LIVES = 8
STEPS = 25
NAMES = st.sampled_from(["a.txt", "b.txt"])
CONTENTS = st.sampled_from([b"", b"one", b"another", b"and a third one"])


# ── the model ───────────────────────────────────────────────────────────────────────────────────


@dataclass
class ModelFile:
    """`state`: `visible`, `trashed` or `erased`. An erased one may be on its way to that."""

    name: str
    contents: list[bytes]
    state: str = "visible"

    @property
    def newest(self) -> bytes:
        return self.contents[-1]


@dataclass
class ModelShare:
    id: str
    file_id: str
    path: str
    is_revoked: bool = False


@dataclass
class Model:
    files: dict[str, ModelFile] = field(default_factory=dict)

    def same(self, name: str, content: bytes) -> str | None:
        """The oldest file in sight that has this name, and this content as its newest."""
        for file_id, file in self.files.items():
            if (file.state, file.name, file.newest) == ("visible", name, content):
                return file_id
        return None

    def newest_called(self, name: str) -> str | None:
        called = [
            file_id
            for file_id, file in self.files.items()
            if file.state == "visible" and file.name == name
        ]
        return called[-1] if called else None

    def in_state(self, state: str) -> dict[str, bytes]:
        return {file_id: file.newest for file_id, file in self.files.items() if file.state == state}

    def kept(self) -> dict[str, int]:
        files = [file for file in self.files.values() if file.state != "erased"]
        return {
            "files": len(files),
            "bytes": sum(len(content) for file in files for content in file.contents),
        }


# ── erasures in earnest ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class House:
    """The API, its database, and what erases behind it."""

    api: ApiProcess
    postgres_dsn: str


@pytest.fixture
def house(
    api: ApiProcess, application_dsn: str, postgres_dsn: str, temporal_address: str
) -> Iterator[House]:
    """Files are erased as they are in production; what was uploaded is not read."""
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()
    work = _work(api.home, application_dsn, temporal_address, stopping)
    thread = threading.Thread(target=loop.run_until_complete, args=(work,))
    thread.start()
    yield House(api, postgres_dsn)
    loop.call_soon_threadsafe(stopping.set)
    thread.join(timeout=60)
    assert not thread.is_alive()
    loop.close()


async def _work(home: Path, dsn: str, temporal_address: str, stopping: asyncio.Event) -> None:
    converter = data_converter(load_payload_keys(home / "keys" / "payload.key"))
    client = await Client.connect(temporal_address, data_converter=converter)
    await end_what_runs(client)  # else the worker first gets the tasks of all earlier tests
    stores = open_stores(
        Settings(
            objects=ObjectSettings(root=home / "objects"), keys=KeySettings(root=home / "keys")
        )
    )
    database = Database(dsn)
    erasure = Erasure(database, stores.blobs, ErasureLedger(stores.erasure_ledger))
    async with Worker(
        client,
        task_queue=queues.WORKFLOWS,
        workflows=[EraseFile, AnsweringWorkflow],
        activities=[
            erasure.plan_erasure,
            erasure.erase_from_store,
            erasure.destroy_unreferenced_keys,
            erasure.finish_erasure,
        ],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        await stopping.wait()
    await end_what_runs(client)
    await database.close()


# ── the machine ─────────────────────────────────────────────────────────────────────────────────


class FileLife(RuleBasedStateMachine):
    """One tenant's. `house` is set before it runs."""

    house: House
    files: Bundle[str] = Bundle("files")
    shares: Bundle[ModelShare] = Bundle("shares")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.links: list[ModelShare] = []
        self.tenant = make_tenant(self.house.postgres_dsn)
        stranger = make_tenant(self.house.postgres_dsn)
        self.client, self.stranger, self.visitor = (
            httpx.Client(base_url=self.house.api.url, headers=headers, timeout=60, trust_env=False)
            for headers in (
                {"Authorization": f"Bearer {self.tenant.api_key}"},
                {"Authorization": f"Bearer {stranger.api_key}"},
                {},
            )
        )

    @rule(target=files, name=NAMES, content=CONTENTS, as_version=st.booleans())
    def upload(self, name: str, content: bytes, as_version: bool) -> str:
        parameters = {"name": name, **({"on_conflict": "version"} if as_version else {})}
        answer = self.client.post("/v1/files", params=parameters, content=content)
        file_id = str(answer.json()["id"])
        same = self.model.same(name, content)
        former = self.model.newest_called(name) if as_version else None
        if same is not None:
            assert (answer.status_code, file_id) == (200, same)
        elif former is not None:
            assert (answer.status_code, file_id) == (202, former)
            self.model.files[former].contents.append(content)
        else:
            assert answer.status_code == 202, answer.text
            assert file_id not in self.model.files
            self.model.files[file_id] = ModelFile(name, [content])
        self._as_if_read()
        return file_id

    @rule(file_id=files, content=CONTENTS)
    def add_version(self, file_id: str, content: bytes) -> None:
        file = self.model.files[file_id]
        answer = self.client.post(f"/v1/files/{file_id}/versions", content=content)
        if file.state != "visible":
            assert answer.status_code == 409, answer.text
        elif file.newest == content:
            assert answer.status_code == 200, answer.text
        else:
            assert answer.status_code == 202, answer.text
            file.contents.append(content)
            assert answer.json()["version"] == len(file.contents)
        self._as_if_read()

    @rule(file_id=files)
    def trash(self, file_id: str) -> None:
        file = self.model.files[file_id]
        answer = self.client.delete(f"/v1/files/{file_id}")
        assert answer.status_code == (410 if file.state == "erased" else 200), answer.text
        if file.state == "visible":
            file.state = "trashed"
        self._ask_about(file_id)

    @rule(file_id=files)
    def restore(self, file_id: str) -> None:
        file = self.model.files[file_id]
        answer = self.client.post(f"/v1/files/{file_id}/restore")
        assert answer.status_code == (200 if file.state == "trashed" else 409), answer.text
        if file.state == "trashed":
            file.state = "visible"
        self._ask_about(file_id)

    @rule(file_id=files)
    def erase(self, file_id: str) -> None:
        file = self.model.files[file_id]
        answer = self.client.delete(f"/v1/files/{file_id}", params={"permanent": "true"})
        if file.state == "erased":
            assert answer.status_code in (409, 410), answer.text
            return
        assert answer.status_code == 202, answer.text
        file.state = "erased"
        self._wait_until_erased(file_id)
        self._ask_about(file_id)

    @rule(target=shares, file_id=files)
    def share(self, file_id: str) -> object:
        state = self.model.files[file_id].state
        answer = self.client.post("/v1/shares", json={"file_id": file_id})
        expected = {"visible": 201, "trashed": 409, "erased": 410}[state]
        assert answer.status_code == expected, answer.text
        if state != "visible":
            return multiple()
        path = "/s/" + answer.json()["url"].rpartition("/")[2]
        share = ModelShare(answer.json()["id"], file_id, path)
        self.links.append(share)
        return share

    @rule(share=shares)
    def visit(self, share: ModelShare) -> None:
        self._visit(share)

    def _visit(self, share: ModelShare) -> None:
        file = self.model.files[share.file_id]
        answer = self.visitor.get(f"{share.path}/content")
        if file.state == "visible" and not share.is_revoked:
            assert (answer.status_code, answer.content) == (200, file.newest)
        else:
            assert answer.status_code in (404, 410), answer.text

    @rule(share=shares)
    def revoke(self, share: ModelShare) -> None:
        answer = self.client.delete(f"/v1/shares/{share.id}")
        is_gone = self.model.files[share.file_id].state == "erased"
        assert answer.status_code == (404 if is_gone else 200), answer.text
        share.is_revoked = True
        assert self.visitor.get(f"{share.path}/content").status_code == 404

    @rule(file_id=files)
    def read(self, file_id: str) -> None:
        file, path = self.model.files[file_id], f"/v1/files/{file_id}"
        answer = self.client.get(f"{path}/content")
        if file.state == "visible":
            assert (answer.status_code, answer.content) == (200, file.newest)
            for number, content in enumerate(file.contents, start=1):
                version = self.client.get(f"{path}/content", params={"version": number})
                assert version.content == content
        else:
            expected = 409 if file.state == "trashed" else 410
            assert answer.status_code == expected, answer.text
        assert self.stranger.get(path).status_code == 404

    @rule()
    def look(self) -> None:
        for state, parameters in (("visible", {}), ("trashed", {"state": "trashed"})):
            answer = self.client.get("/v1/files", params=parameters)
            listed = {each["id"]: each["size"] for each in answer.json()["data"]}
            wanted = self.model.in_state(state)
            assert listed == {file_id: len(content) for file_id, content in wanted.items()}
        shown = self.client.get("/v1/quotas").json()
        assert {name: shown[name]["used"] for name in ("files", "bytes")} == self.model.kept()

    def teardown(self) -> None:
        self.look()
        for client in (self.client, self.stranger, self.visitor):
            client.close()

    def _ask_about(self, file_id: str) -> None:
        """What its new state changes for those who have a link, or want one."""
        state = self.model.files[file_id].state
        if state != "visible":
            answer = self.client.post("/v1/shares", json={"file_id": file_id})
            assert answer.status_code == (409 if state == "trashed" else 410), answer.text
        for share in self.links:
            if share.file_id == file_id:
                self._visit(share)

    def _as_if_read(self) -> None:
        """What was uploaded was scanned, and its ingestion is over."""
        with psycopg.connect(self.house.postgres_dsn) as connection:
            of_tenant = (self.tenant.tenant_id,)
            connection.execute(
                "UPDATE file_version SET scan_state = 'clean' WHERE tenant_id = %s", of_tenant
            )
            connection.execute(
                "UPDATE job SET state = 'completed', finished_at = now()"
                " WHERE tenant_id = %s AND kind = 'ingest_file' AND finished_at IS NULL",
                of_tenant,
            )

    def _wait_until_erased(self, file_id: str) -> None:
        def is_erased() -> bool:
            answer = self.client.get(f"/v1/files/{file_id}")
            return answer.status_code in (404, 410) or answer.json()["state"] == "erased"

        wait_for(is_erased, timeout_seconds=60, what="the erasure", pause_seconds=0.02)


def test_files_live_as_the_model_says(house: House) -> None:
    FileLife.house = house
    run_state_machine_as_test(
        FileLife,
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=STEPS,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
