"""Processes of ours that hang are started anew by the supervisor, which listens to each one's pulse."""

import os
import signal
from pathlib import Path

import pytest

from deploy.embedded.records import ProcessState, StackRecord
from tests.patience import on_a_busy_machine
from tests.stack import Stack, wait_for

PROCESSES = ("api", "api-2", "worker-io", "worker-cpu")


def _log(stack: Stack, name: str) -> str:
    return (stack.home / "log" / f"{name}.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PROCESSES)
def test_the_supervisor_listens_to_its_pulse(stack: Stack, name: str) -> None:
    wait_for(
        lambda: "gives a pulse" in _log(stack, name), timeout_seconds=30, what=f"{name}'s pulse"
    )


def _is_anew(stack: Stack, name: str, former: int) -> bool:
    record = StackRecord.model_validate_json((stack.home / "run/processes.json").read_bytes())
    (found,) = (process for process in record.processes if process.name == name)
    return found.pid not in (None, former) and found.state is ProcessState.RUNNING


@pytest.mark.slow
def test_a_stopped_api_process_and_a_stopped_worker_are_started_anew(
    stack: Stack, tmp_path: Path
) -> None:
    """Nobody lets them go on: half a minute later others are there, and a file is ready."""
    former = {name: stack.pid(name) for name in ("api-2", "worker-io")}
    for process in former.values():
        os.kill(process, signal.SIGSTOP)
    for name, process in former.items():
        wait_for(
            lambda name=name, process=process: _is_anew(stack, name, process),
            timeout_seconds=on_a_busy_machine(90),
            what=f"{name} anew",
        )
        assert "hangs" in _log(stack, name)
    _expect_a_file_to_become_ready(stack, tmp_path)


@pytest.mark.slow
def test_a_stopped_database_and_orchestrator_are_started_anew(stack: Stack, tmp_path: Path) -> None:
    """They give no pulse, and are missed after a minute."""
    for name in ("postgres", "temporal"):
        wait_for(
            lambda name=name: "answers: it is started anew" in _log(stack, name),
            timeout_seconds=30,
            what=f"an answer of {name}",
        )
    former = {name: stack.pid(name) for name in ("postgres", "temporal")}
    for process in former.values():
        os.kill(process, signal.SIGSTOP)
    for name, process in former.items():
        wait_for(
            lambda name=name, process=process: _is_anew(stack, name, process),
            timeout_seconds=on_a_busy_machine(120),
            what=f"{name} anew",
        )
        assert "hangs" in _log(stack, name)
    _expect_a_file_to_become_ready(stack, tmp_path)


def _expect_a_file_to_become_ready(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "after.txt"
    path.write_bytes(b"The warden keeps the muniment room. " * 40)
    with stack.client() as client:
        job = stack.upload(client, path)["job"]
        assert isinstance(job, dict)
        assert stack.finished_job(client, job["id"])["state"] == "completed"
