"""An embedded stack's API is several processes on one port: each serves, and one that is killed takes
nobody down with it but those it was serving."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import psutil

from deploy.embedded.doctor import examine
from deploy.embedded.home import Home
from tests.chaos.viewer import Viewer
from tests.stack import Stack, wait_for

PROCESSES = ("api", "api-2")
VISITORS = 24
"""That all of them come to the same of two processes is one case in eight million."""
TEXT = b"The warden keeps the muniment room. " * 40


@contextmanager
def _visitors(stack: Stack) -> Iterator[list[httpx.Client]]:
    """Each with a connection of its own, which is kept."""
    clients = [stack.client() for _ in range(VISITORS)]
    try:
        for client in clients:
            client.get("/v1/files").raise_for_status()
        yield clients
    finally:
        for client in clients:
            client.close()


def _connections(stack: Stack, name: str) -> int:
    process = psutil.Process(stack.pid(name))
    port = httpx.URL(stack.endpoints["api"]).port
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in process.net_connections(kind="tcp")
    )


def _is_running(stack: Stack, name: str, former: int) -> bool:
    """Whether the process was started anew and takes connections."""
    with suppress(FileNotFoundError, IndexError, ValueError, psutil.Error):
        process = psutil.Process(stack.pid(name))
        return process.pid != former and any(
            each.status == psutil.CONN_LISTEN for each in process.net_connections(kind="tcp")
        )
    return False


def test_connections_are_spread_over_both_and_each_lets_half_of_the_limits_through(
    stack: Stack,
) -> None:
    with _visitors(stack) as clients:
        served = [_connections(stack, name) for name in PROCESSES]
        assert min(served) > 0
        assert sum(served) >= VISITORS
        policies = {client.get("/v1/files").headers["RateLimit-Policy"] for client in clients}
    assert policies == {'"principal";q=6000;w=60, "tenant";q=18000;w=60'}


def _own_ports(stack: Stack) -> set[int]:
    """Of this process's connections to the API."""
    port = httpx.URL(stack.endpoints["api"]).port
    return {
        each.laddr.port
        for each in psutil.Process().net_connections(kind="tcp")
        if each.status == psutil.CONN_ESTABLISHED and each.raddr.port == port
    }


def _server_of(stack: Stack, ports: set[int]) -> str | None:
    """The API process at the other end of one of these connections."""
    for name in PROCESSES:
        connections = psutil.Process(stack.pid(name)).net_connections(kind="tcp")
        if any(each.raddr and each.raddr.port in ports for each in connections):
            return name
    return None


def test_while_one_is_away_the_other_serves(stack: Stack) -> None:
    with _visitors(stack) as clients:
        visitors = _own_ports(stack)
        with stack.client() as client:
            answer = client.post("/v1/files", params={"name": "watched.txt"}, content=TEXT)
            job_id = answer.raise_for_status().json()["job"]["id"]
        with Viewer(stack, job_id) as viewer:
            # The viewer's own, which it hangs up and makes anew now and then.
            killed = wait_for(
                lambda: _server_of(stack, _own_ports(stack) - visitors),
                timeout_seconds=30,
                what="the viewer's connection",
                pause_seconds=0.01,
            )
            served = _connections(stack, killed)
            former = stack.kill(killed)
            wait_for(lambda: not psutil.pid_exists(former), timeout_seconds=10, what="its end")
            broken = 0
            for client in clients:
                try:
                    client.get("/v1/files").raise_for_status()
                except httpx.TransportError:
                    broken += 1
            assert broken <= served
            with _visitors(stack) as others:
                assert len(others) == VISITORS  # each of whom was answered
            wait_for(
                lambda: _is_running(stack, killed, former),
                timeout_seconds=120,
                what=f"{killed} anew",
            )
            assert viewer.ended.wait(120)
    first = viewer.first_id + 1
    assert viewer.ids == list(range(first, first + len(viewer.ids)))
    with _visitors(stack):
        assert _connections(stack, killed) > 0


def test_doctor_notices_that_one_of_two_hangs(stack: Stack) -> None:
    hanging = stack.pid(PROCESSES[1])
    os.kill(hanging, signal.SIGSTOP)
    try:
        found = _doctor(stack)
    finally:
        os.kill(hanging, signal.SIGCONT)
    assert found["state"] == "degraded"
    assert "connections were not answered" in found["detail"]
    assert "log/api*.jsonl" in found["remedy"]
    # What it depends on may be degraded: a stack without a scanner.
    wait_for(
        lambda: _doctor(stack)["detail"].startswith("serves"),
        timeout_seconds=30,
        what="both to answer",
    )


def _doctor(stack: Stack) -> dict[str, str]:
    """What it says of the API."""
    report = asyncio.run(examine(Home(stack.home)))
    (found,) = (check for check in report.checks if check.name == "API")
    return {"state": found.state, "detail": found.detail, "remedy": found.remedy or ""}
