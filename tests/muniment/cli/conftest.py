"""The command line, in this process or as its own, against the API for tests."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from muniment.cli.main import app
from tests.muniment.client.api_for_tests import KEY, ApiForTests, serving

MUNIMENT = str(Path(sys.executable).with_name("muniment"))


@dataclass(frozen=True)
class Printed:
    """What a command printed, and the code it ended with."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Printed]


@pytest.fixture
def api() -> Iterator[ApiForTests]:
    with serving(ApiForTests()) as api:
        yield api


def environment(api: ApiForTests | None) -> dict[str, str]:
    """This process's, without its own Muniment settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")}
    chosen = {"MUNIMENT_API__URL": api.url, "MUNIMENT_API__KEY": KEY} if api else {}
    return kept | chosen | {"TERM": "dumb", "PYTHONWARNINGS": "error"}


def invoke(arguments: Sequence[str | Path], variables: dict[str, str]) -> Printed:
    """Runs the command in this process, with these environment variables and no others of ours."""
    absent = {name: None for name in os.environ if name not in variables}
    result = CliRunner().invoke(app, list(map(str, arguments)), env={**absent, **variables})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Printed(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def muniment(api: ApiForTests) -> Command:
    """Runs `muniment …` against the API for tests."""

    def run(*arguments: str | Path) -> Printed:
        return invoke(arguments, environment(api))

    return run
