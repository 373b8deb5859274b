"""Each process of an embedded stack serves its figures on a port of its own."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.embedded.api_processes import METRICS_VARIABLE
from deploy.embedded.home import Home
from deploy.embedded.logs import RotatingLog
from deploy.embedded.places import choose_places
from deploy.embedded.stack import RATE_LIMITS_VARIABLE, WORKER_METRICS_VARIABLE, plan_stack
from muniment.settings import EmbeddedSettings

VARIABLES = (METRICS_VARIABLE, RATE_LIMITS_VARIABLE, WORKER_METRICS_VARIABLE)


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def _environments(folder: Path, api_processes: int = 1) -> dict[str, Mapping[str, str]]:
    """Of our own processes, by their names."""
    home = Home(folder / "home")
    home.create()
    log = RotatingLog(home.log / "supervisor.jsonl", "supervisor")
    places = choose_places(home, None)
    settings = EmbeddedSettings(api_processes=api_processes)
    stack = asyncio.run(plan_stack(home, places, log, commands={}, settings=settings))
    return {spec.name: spec.environment for spec in stack.services()}


def _ports(environments: Mapping[str, Mapping[str, str]], variable: str) -> dict[str, str]:
    return {
        name: environment[variable]
        for name, environment in environments.items()
        if variable in environment and name.startswith("api") == (variable == METRICS_VARIABLE)
    }


@pytest.mark.parametrize(
    ("named", "served"), [("9100", {"worker-io": "9100", "worker-cpu": "9101"}), (None, {})]
)
def test_workers_count_upwards_from_the_port_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str | None, served: dict[str, str]
) -> None:
    if named is not None:
        monkeypatch.setenv(WORKER_METRICS_VARIABLE, named)
    assert _ports(_environments(tmp_path), WORKER_METRICS_VARIABLE) == served


def test_api_processes_leave_out_the_ports_of_workers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(METRICS_VARIABLE, "9100")
    monkeypatch.setenv(WORKER_METRICS_VARIABLE, "9101")
    assert _ports(_environments(tmp_path, 3), METRICS_VARIABLE) == {
        "api": "9100",
        "api-2": "9103",
        "api-3": "9104",
    }


def test_figures_stay_on_the_api_where_no_port_is_named(tmp_path: Path) -> None:
    assert _ports(_environments(tmp_path, 2), METRICS_VARIABLE) == {}


@pytest.mark.parametrize(("named", "told"), [(None, "3"), ("5", "5")])
def test_each_api_process_lets_its_part_of_the_limits_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str | None, told: str
) -> None:
    if named is not None:
        monkeypatch.setenv(RATE_LIMITS_VARIABLE, named)
    environments = _environments(tmp_path, 3)
    assert {environments[name][RATE_LIMITS_VARIABLE] for name in ("api", "api-2", "api-3")} == {
        told
    }
