"""The payload key is rotated under a running Temporal: what it keeps goes on being opened, and a former key
goes only when nothing is left that it encrypted."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleSpec,
    ScheduleState,
    WorkflowHandle,
    WorkflowHistory,
)
from temporalio.service import RPCError
from temporalio.worker import Replayer

from muniment.errors import ConfigurationError, OrchestratorUnavailable
from muniment.payload_keys import PayloadKeyFile, load_payload_keys
from muniment.payloads import data_converter, key_id_of
from muniment.telemetry.request_context import RequestContextInterceptor
from tests.patience import on_a_busy_machine
from tests.workflows.workshop import HISTORIES
from worker.payload_keys import PayloadKeyRotation, _payloads, _run
from worker.queues import WORKFLOW_CLASSES, workflow_runner

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUEUE = "nobody-polls-it"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "payload.key"
    load_payload_keys(path)
    return path


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def namespace(temporal_address: str) -> str:
    """One of the tests' own: what it keeps is what they started."""
    name = f"payload-keys-{uuid4().hex[:8]}"
    client = await Client.connect(temporal_address)
    retention = Duration(seconds=86_400)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )
    async with asyncio.timeout(on_a_busy_machine(60)):
        while True:  # servers see a new namespace after seconds
            with suppress(RPCError):
                await (await Client.connect(temporal_address, namespace=name)).count_workflows()
                return name
            await asyncio.sleep(0.5)


@pytest_asyncio.fixture(loop_scope="session")
async def client(temporal_address: str, namespace: str, path: Path) -> Client:
    return await Client.connect(
        temporal_address,
        namespace=namespace,
        data_converter=data_converter(load_payload_keys(path), PayloadKeyFile(path)),
    )


async def start(client: Client) -> WorkflowHandle[Any, Any]:
    return await client.start_workflow("Nothing", "words", id=uuid4().hex, task_queue=QUEUE)


async def schedule(client: Client) -> ScheduleHandle:
    action = ScheduleActionStartWorkflow(
        "Nothing", "words", id=uuid4().hex, task_queue=QUEUE, static_summary="a summary"
    )
    paused = ScheduleState(paused=True)
    return await client.create_schedule(
        uuid4().hex, Schedule(action, spec=ScheduleSpec(), state=paused)
    )


async def keys_of(handle: ScheduleHandle) -> set[str | None]:
    return {key_id_of(each) for each in _payloads((await handle.describe()).schedule.action)}


async def forget(client: Client, handle: WorkflowHandle[Any, Any]) -> None:
    """As Temporal does when the retention is over."""
    await handle.terminate()
    execution = WorkflowExecution(workflow_id=handle.id)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    )


@pytest.mark.slow
async def test_a_former_key_is_kept_until_nothing_is_left_that_it_encrypted(
    client: Client, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.payload_keys.SETTLED_AFTER", timedelta(0))
    former = load_payload_keys(path).newest
    running, repeated = await start(client), await schedule(client)
    await until_counted(client, 1)
    assert await keys_of(repeated) == {former}
    rotation = PayloadKeyRotation(client, path)
    newest = await rotation.rotate()
    assert await keys_of(repeated) == {newest}
    action = (await repeated.describe()).schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert await client.data_converter.decode(action.args) == ["words"]  # type: ignore[arg-type] # payloads, as described
    [kept] = await rotation.retire()
    assert (kept.key_id, kept.runs, kept.schedules) == (former, 1, 0)
    assert "1 runs" in str(kept)
    later = await start(client)
    await forget(client, running)
    async with asyncio.timeout(on_a_busy_machine(60)):
        while (await rotation.retire())[0].runs:  # noqa: ASYNC110 - Temporal tells nobody
            await asyncio.sleep(0.3)
    assert load_payload_keys(path).keys.keys() == {newest}
    assert await rotation.retire() == []
    assert (await later.describe()).status is not None
    await forget(client, later)
    await repeated.delete()


async def test_a_schedule_that_has_not_run_since_keeps_the_former_key(
    client: Client, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.payload_keys.SETTLED_AFTER", timedelta(0))
    repeated = await schedule(client)
    await repeated.trigger()
    async with asyncio.timeout(on_a_busy_machine(60)):
        while not (await repeated.describe()).info.recent_actions:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.2)
    rotation = PayloadKeyRotation(client, path)
    await rotation.rotate()
    async with asyncio.timeout(on_a_busy_machine(60)):
        while not (await rotation.retire())[0].schedules:  # noqa: ASYNC110 - listed after a moment
            await asyncio.sleep(0.3)
    [kept] = await rotation.retire()
    assert "1 schedules that have not run since" in str(kept)
    assert kept.key_id in load_payload_keys(path).keys
    await repeated.delete()


async def test_a_key_is_removed_once_no_run_is_left_and_not_before(
    client: Client, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that was replaced before the namespace was made, nothing can be left."""
    monkeypatch.setattr("worker.payload_keys.SETTLED_AFTER", timedelta(0))
    ancient, file = load_payload_keys(path).newest, PayloadKeyFile(path)
    recent = file.rotate(datetime(2020, 1, 1, tzinfo=UTC))
    running = await start(client)
    await until_counted(client, 1)
    rotation = PayloadKeyRotation(client, path)
    newest = await rotation.rotate()
    removed, kept = await rotation.retire()
    assert (removed.key_id, str(removed)) == (ancient, f"{ancient}: removed")
    assert kept.key_id == recent
    assert kept.runs
    assert load_payload_keys(path).keys.keys() == {recent, newest}
    await running.terminate()


async def test_two_who_retire_at_once_both_end(
    client: Client, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former, file = load_payload_keys(path).newest, PayloadKeyFile(path)
    file.rotate(datetime(2020, 1, 1, tzinfo=UTC))
    second = PayloadKeyRotation(client, path)
    note_use = second._file.note_use

    def overtaken(key_ids: frozenset[str], at: datetime) -> None:
        file.remove(former)
        note_use(key_ids, at)

    monkeypatch.setattr(second._file, "note_use", overtaken)
    assert await second.retire() == []


async def test_a_rotation_that_cannot_renew_schedules_says_which_key_encrypts(
    client: Client, path: Path
) -> None:
    nowhere = await Client.connect(client.service_client.config.target_host, namespace="nowhere")
    with pytest.raises(OrchestratorUnavailable) as told:
        await PayloadKeyRotation(nowhere, path).rotate()
    assert load_payload_keys(path).newest in told.value.detail
    assert "Do not rotate again" in told.value.remedy


@pytest.mark.parametrize("what", ["show", "rotate", "retire"])
async def test_the_command_makes_no_ring_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(tmp_path / "keys"))
    with pytest.raises(ConfigurationError, match="is not there") as refused:
        await _run(what)
    assert "MUNIMENT_KEYS__ROOT" in refused.value.remedy
    assert not (tmp_path / "keys").exists()


async def until_counted(client: Client, count: int) -> None:
    """What is started is seen by those who count after a moment."""
    async with asyncio.timeout(on_a_busy_machine(60)):
        while (await client.count_workflows()).count < count:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.2)


async def test_what_a_late_process_scheduled_by_the_former_key_keeps_it_longer(
    temporal_address: str, client: Client, path: Path
) -> None:
    late = await Client.connect(
        temporal_address,
        namespace=client.namespace,
        data_converter=data_converter(load_payload_keys(path)),
    )
    former = load_payload_keys(path).newest
    rotation = PayloadKeyRotation(client, path)
    newest = await rotation.rotate()
    replaced_at = load_payload_keys(path).replaced_at[former]
    repeated = await schedule(late)
    async with asyncio.timeout(on_a_busy_machine(60)):
        while await keys_of(repeated) != {newest}:
            [kept] = await rotation.retire()
            assert kept.runs is None
            await asyncio.sleep(0.3)
    assert load_payload_keys(path).replaced_at[former] > replaced_at
    assert former in load_payload_keys(path).keys
    await repeated.delete()


async def test_stored_histories_replay_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "payload.key"
    path.write_bytes((HISTORIES / "payload.key").read_bytes())
    path.chmod(0o600)
    PayloadKeyFile(path).rotate(datetime.now(UTC))
    replayer = Replayer(
        workflows=WORKFLOW_CLASSES,
        data_converter=data_converter(load_payload_keys(path)),
        workflow_runner=workflow_runner(sandboxed=True),
        interceptors=[RequestContextInterceptor()],
    )
    stored = next(iter(sorted(HISTORIES.glob("*/completed.json"))))
    await replayer.replay_workflow(WorkflowHistory.from_json("completed", stored.read_text()))


async def test_the_command_shows_what_there_is(path: Path) -> None:
    PayloadKeyFile(path).rotate(datetime.now(UTC))
    command = [sys.executable, "-m", "worker.payload_keys", "show"]
    environment = {**os.environ, "MUNIMENT_KEYS__ROOT": str(path.parent)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE)
    shown = (await process.communicate())[0].decode().splitlines()
    assert process.returncode == 0
    assert [line.partition(": ")[2][:11] for line in shown] == ["replaced at", "encrypts"]
