"""A process that joins a running stack from the command line has the settings of the stack's own."""

import asyncio
import os
from pathlib import Path

import pytest

from deploy.embedded.home import Home, write_privately
from deploy.embedded.leftovers import MARK
from deploy.embedded.logs import RotatingLog
from deploy.embedded.places import choose_places
from deploy.embedded.scanner import SOCKET_VARIABLE
from deploy.embedded.stack import EmbeddedStack, plan_stack
from muniment.cli.processes import home_environment
from muniment.settings import EmbeddedSettings

_OF_ITS_OWN = {"MUNIMENT_API__PORT", MARK}
"""A port of its own; and it is not the supervisor's to end."""


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MUNIMENT_")]:
        monkeypatch.delenv(name)


def _stack(folder: Path) -> EmbeddedStack:
    """A planned stack whose `run/endpoints.json` is written as that of a ready one."""
    home = Home(folder / "home")
    home.create()
    log = RotatingLog(home.log / "supervisor.jsonl", "supervisor")
    places = choose_places(home, None)
    stack = asyncio.run(plan_stack(home, places, log, commands={}, settings=EmbeddedSettings()))
    write_privately(home.endpoints, stack.endpoints().model_dump_json())
    return stack


def _settings(environment: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("MUNIMENT_") and name not in _OF_ITS_OWN
    }


@pytest.mark.parametrize("scanner", ["/run/elsewhere/clamd.sock", None])
def test_a_joining_process_has_every_setting_of_the_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scanner: str | None
) -> None:
    given = {
        "MUNIMENT_OBJECTS__ROOT": str(tmp_path / "content"),
        "MUNIMENT_EMBEDDING__MODEL_DIRECTORY": str(tmp_path / "models"),
        **({SOCKET_VARIABLE: scanner} if scanner else {}),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    stack = _stack(tmp_path)
    for name in given:  # the other shell knows nothing of what the stack was started with
        monkeypatch.delenv(name)
    joining = home_environment(stack.home.root)
    assert _settings(joining) == _settings(stack.owner_environment())
    assert joining.get(SOCKET_VARIABLE) == stack.scanner.address


def test_the_users_own_scanner_and_model_win(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, "/run/first/clamd.sock")
    stack = _stack(tmp_path)
    monkeypatch.setenv(SOCKET_VARIABLE, "/run/second/clamd.sock")
    monkeypatch.setenv("MUNIMENT_EMBEDDING__MODEL_DIRECTORY", "/models")
    joining = home_environment(stack.home.root)
    assert joining[SOCKET_VARIABLE] == "/run/second/clamd.sock"
    assert joining["MUNIMENT_EMBEDDING__MODEL_DIRECTORY"] == "/models"
