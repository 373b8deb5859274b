"""The supervisor with a real PostgreSQL and a real Temporal."""

import asyncio
import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from deploy.embedded.lock import sole_user_of
from muniment.contracts import search_attributes
from muniment.errors import ConfigurationError
from muniment.settings import EmbeddedSettings
from tests.conftest import free_port

from .stack_process import (
    CHILDREN,
    StackProcess,
    processes_of,
    read_rows,
    up_command,
    wait_for,
    write_row,
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackProcess]:
    started = StackProcess(tmp_path_factory.mktemp("stack") / "home").start()
    yield started
    if started.process is not None and started.process.poll() is None:
        started.end()


def test_endpoints_lead_to_what_runs(stack: StackProcess) -> None:
    endpoints = stack.endpoints
    write_row(endpoints, "first")
    assert "first" in read_rows(endpoints)
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as browser:
        assert browser.get(f"{endpoints.api}/healthz").status_code == 200
        assert "html" in browser.get(endpoints.temporal_ui).text
    asyncio.run(_expect_search_attributes(endpoints.temporal, endpoints.namespace))


async def _expect_search_attributes(address: str, namespace: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=namespace)
    )
    registered = {name: int(kind) for name, kind in answer.custom_attributes.items()}
    wanted = {key.name: int(key.indexed_value_type) for key in search_attributes.ALL}
    assert registered == wanted


def test_nothing_in_the_home_is_open_to_other_users(stack: StackProcess) -> None:
    for path in (stack.home.root, stack.home.run, stack.home.endpoints, stack.home.admin_key):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stack.home.admin_key.read_text(encoding="utf-8").startswith("mun_")


def test_every_child_has_a_pid_file_and_a_json_log(stack: StackProcess) -> None:
    for name in CHILDREN:
        assert psutil.pid_exists(stack.pid(name))
    for name in ("supervisor", "postgres", "temporal"):
        lines = stack.home.log_file(name).read_text(encoding="utf-8").splitlines()
        assert all(isinstance(json.loads(line), dict) for line in lines), name


@pytest.mark.parametrize("name", CHILDREN)
def test_a_killed_child_is_restarted_and_nothing_is_lost(stack: StackProcess, name: str) -> None:
    before = stack.endpoints
    write_row(before, name)
    killed = stack.pid(name)
    assert stack.kill_and_await_restart(name) != killed
    assert stack.endpoints == before
    assert name in read_rows(before)
    asyncio.run(_expect_search_attributes(before.temporal, before.namespace))


def test_what_a_killed_child_leaves_behind_is_ended(stack: StackProcess) -> None:
    worker = psutil.Process(stack.pid("worker-cpu"))
    wait_for(
        lambda: bool(worker.children()), "the stand-in worker's helper, a session of its own", 60
    )
    helpers = worker.children()
    stack.kill_and_await_restart("worker-cpu")
    wait_for(lambda: not any(helper.is_running() for helper in helpers), "helpers to end", 15)


def test_what_nobody_waits_for_stands_back_behind_the_api(stack: StackProcess) -> None:
    """Linux shares the cores among sessions first; each one's group is ended with it all the same."""
    behind = EmbeddedSettings().background_niceness
    for name, niceness in (
        ("api", 0), ("temporal", behind), ("worker-io", behind), ("worker-cpu", behind),
    ):  # fmt: skip
        process_id = stack.pid(name)
        assert os.getsid(process_id) == os.getpgid(process_id) == process_id
        share = Path(f"/proc/{process_id}/autogroup")
        if share.exists():
            assert share.read_text().endswith(f" nice {niceness}\n"), name


def test_a_second_supervisor_of_a_home_is_refused(stack: StackProcess) -> None:
    pid = stack.pid("supervisor")
    second = stack.run("up")
    assert second.returncode == 0
    assert f"already running at {stack.endpoints.api}" in second.stdout
    assert stack.pid("supervisor") == pid


def test_two_homes_run_side_by_side_and_one_stops_alone(
    stack: StackProcess, tmp_path: Path
) -> None:
    # Longer than a socket's path may be.
    other = StackProcess(tmp_path / ("long-" * 20) / "home")
    other.home.root.parent.mkdir()
    other.start()
    write_row(other.endpoints, "other")
    write_row(stack.endpoints, "beside it")
    assert "other" not in read_rows(stack.endpoints)
    assert other.end(signal.SIGINT) == 0
    assert processes_of(other.home) == []
    assert "beside it" in read_rows(stack.endpoints)


def test_a_port_of_another_home_is_refused_while_nobody_listens_on_it(tmp_path: Path) -> None:
    """Both are still bringing up their databases, or the other's API is being started anew."""
    other = StackProcess(tmp_path / "home")
    port = free_port()
    with sole_user_of(port):
        refused = other.run("up", "--port", str(port))
    assert refused.returncode == 1
    assert f"port {port} is taken by the stack of another home" in refused.stdout
    assert processes_of(other.home) == []


def test_a_stack_holds_its_port_until_it_ends(stack: StackProcess) -> None:
    port = httpx.URL(stack.endpoints.api).port
    assert port is not None
    with pytest.raises(ConfigurationError, match=str(port)), sole_user_of(port):
        pass


def test_status_says_what_runs(stack: StackProcess) -> None:
    answer = stack.run("status", "--json")
    found = json.loads(answer.stdout)
    assert answer.returncode == 0
    assert found["state"] == "running"
    assert {process["name"] for process in found["processes"]} == set(CHILDREN)
    assert found["endpoints"]["api"] == stack.endpoints.api


def test_doctor_names_the_missing_scanner_loudly(stack: StackProcess) -> None:
    answer = stack.run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(answer.stdout)["checks"]}
    assert checks["worker-io"]["state"] == "ok"
    assert checks["database"]["state"] == "ok"
    scanner = checks["virus scanner"]
    assert scanner["state"] == "ok" or ("unscanned" in scanner["detail"] and scanner["remedy"])


def test_what_a_killed_supervisor_leaves_is_taken_over_and_down_ends_it(tmp_path: Path) -> None:
    stack = StackProcess(tmp_path / "home").start()
    write_row(stack.endpoints, "before")
    before = stack.endpoints
    worker = psutil.Process(stack.pid("worker-io"))
    worker.suspend()  # so that it cannot follow the supervisor's death on its own
    assert stack.process is not None
    stack.process.kill()
    stack.process.wait()
    assert stack.run("status").returncode == 3
    detached = subprocess.run(
        up_command(stack.home.root, "--detach"),
        capture_output=True,
        text=True,
        timeout=200,
        cwd="/",
        check=False,
    )
    assert detached.returncode == 0, detached.stdout + detached.stderr
    assert stack.endpoints.api in detached.stdout
    assert not worker.is_running()
    assert stack.endpoints == before
    assert read_rows(stack.endpoints) == ["before"]
    assert stack.run("down").stdout.strip() == "stopped"
    assert processes_of(stack.home) == []
    assert not stack.home.endpoints.exists()
    assert not list(stack.home.run.glob("*.pid"))
    assert stack.run("down").stdout.strip() == "nothing was running"


def test_a_reused_pid_is_not_taken_for_ours(tmp_path: Path) -> None:
    """A record of a process that is gone, whose pid now belongs to this test."""
    stack = StackProcess(tmp_path / "home")
    stack.home.create()
    record = {"name": "api", "pid": os.getpid(), "created": 1.0, "state": "running"}
    since = {"since": "2026-01-01T00:00:00Z"}
    stack.home.processes.write_text(
        json.dumps(
            {
                "state": "running",
                "supervisor": record | since | {"name": "supervisor"},
                "processes": [record | since],
            }
        ),
        encoding="utf-8",
    )
    assert stack.run("status").returncode == 3
    assert stack.run("down").stdout.strip() == "nothing was running"


def test_a_service_that_cannot_start_ends_the_start_with_its_last_words(tmp_path: Path) -> None:
    stack = StackProcess(tmp_path / "home")
    starting = stack.run_in_background("--command", "api=sh -c 'echo no such thing; exit 3'")
    assert starting.wait(120) == 1
    assert "no such thing" in stack.output.read_text(encoding="utf-8")
    assert processes_of(stack.home) == []
    assert not stack.home.endpoints.exists()


def test_a_port_that_cannot_be_had_is_refused_plainly(tmp_path: Path) -> None:
    answer = StackProcess(tmp_path / "home").run("up", "--port", "70000")
    assert answer.returncode == 1
    assert "70000 is not a port" in answer.stdout
    assert "what to do" in answer.stdout
