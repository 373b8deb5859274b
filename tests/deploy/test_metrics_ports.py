"""Each worker of an embedded stack serves its figures on a port of its own."""

import asyncio
from pathlib import Path

import pytest

from deploy.embedded.home import Home
from deploy.embedded.logs import RotatingLog
from deploy.embedded.places import choose_places
from deploy.embedded.stack import WORKER_METRICS_VARIABLE, plan_stack


@pytest.mark.parametrize(
    ("named", "served"), [("9100", {"worker-io": "9100", "worker-cpu": "9101"}), (None, {})]
)
def test_workers_count_upwards_from_the_port_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str | None, served: dict[str, str]
) -> None:
    monkeypatch.delenv(WORKER_METRICS_VARIABLE, raising=False)
    if named is not None:
        monkeypatch.setenv(WORKER_METRICS_VARIABLE, named)
    home = Home(tmp_path / "home")
    home.create()
    log = RotatingLog(home.log / "supervisor.jsonl", "supervisor")
    stack = asyncio.run(plan_stack(home, choose_places(home, None), log, commands={}))
    ports = {
        spec.name: spec.environment.get(WORKER_METRICS_VARIABLE)
        for spec in stack.services()
        if spec.name.startswith("worker")
    }
    assert ports == (served or dict.fromkeys(ports))
