"""`python -m deploy.run_tests [pytest arguments]`: the tests, and loudly what was left out.

Exit code: pytest's own; finding no test at all (5) is a failure like any other.
"""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy.embedded.scanner import signature_folder

REPOSITORY = Path(__file__).resolve().parents[1]
_DATA_VARIABLE = "MUNIMENT_TEST_DATA"
_VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
_VERSITYGW_PATH = REPOSITORY / ".cache" / "bin" / "versitygw"
_VAULT_TRANSIT = REPOSITORY / "tests" / "conformance" / "vault_transit"
_VAULT_TRANSIT_PATH = REPOSITORY / ".cache" / "bin" / "vault-transit"
_BUILD_SECONDS = 900
_RUN_APART = {
    "slow": '`make test ARGUMENTS="-m slow"` runs them',
    "torch": "`make test-torch` runs them",
    "recording": "they record histories anew; tests/histories/README.md says how",
}
"""Marks of tests that a plain run leaves out (`addopts` in pyproject.toml), and how to run them."""


class SummaryOfAbsences:
    """Collects what was skipped and what was deselected, and why, for the last lines of the run."""

    def __init__(self) -> None:
        self._skipped: Counter[str] = Counter()
        self._deselected: Counter[str | None] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self._skipped[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        for item in items:
            marks = (name for name in _RUN_APART if item.get_closest_marker(name))
            self._deselected[next(marks, None)] += 1

    def lines(self) -> list[str]:
        deselected = [
            f"{self._deselected[marker]} marked `{marker}` left out: {how}"
            for marker, how in _RUN_APART.items()
            if self._deselected[marker]
        ]
        if self._deselected[None]:
            deselected.append(f"{self._deselected[None]} left out by the arguments of this run")
        return [*deselected, *(f"{n} skipped: {why}" for why, n in self._skipped.items())]


def main(arguments: list[str]) -> int:
    _build_versitygw()
    _build_vault_transit()
    summary = SummaryOfAbsences()
    began = time.monotonic()
    code = int(pytest.main(["--rootdir", str(REPOSITORY), *arguments], plugins=[summary]))
    absences = [*_absent_parts(), *summary.lines()]
    lines = [f"tests ended with {code} after {time.monotonic() - began:.0f} s"]
    if absences:
        lines += ["NOT EVERYTHING COULD BE TESTED:", *(f"  - {absence}" for absence in absences)]
    else:
        lines.append("nothing was left out")
    sys.stdout.write("\n".join(lines) + "\n")
    return code


def versitygw_program() -> Path | None:
    """The S3 server of the tests, from PATH or as it was built for them."""
    on_path = shutil.which("versitygw")
    if on_path:
        return Path(on_path)
    return _VERSITYGW_PATH if _VERSITYGW_PATH.exists() else None


def vault_transit_program() -> Path | None:
    """Vault's transit engine behind its HTTP API, as it was built for the tests."""
    return _VAULT_TRANSIT_PATH if _VAULT_TRANSIT_PATH.exists() else None


def _build_versitygw() -> None:
    """Where it is absent and Go is not; before the tests, since a slow machine takes longer for it
    than any test may. Where that fails the tests of the S3 store say what they miss."""
    go = shutil.which("go")
    if go is None or versitygw_program() is not None:
        return
    _VERSITYGW_PATH.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(_VERSITYGW_PATH.parent)}
    _build(f"S3 server: {_VERSITYGW}", [go, "install", _VERSITYGW], REPOSITORY, environment)


def _build_vault_transit() -> None:
    """Likewise, whenever its source is newer."""
    go = shutil.which("go")
    built = _VAULT_TRANSIT_PATH.stat().st_mtime if _VAULT_TRANSIT_PATH.exists() else 0.0
    if go is None or all(each.stat().st_mtime < built for each in _VAULT_TRANSIT.iterdir()):
        return
    _VAULT_TRANSIT_PATH.parent.mkdir(parents=True, exist_ok=True)
    command = [go, "build", "-o", str(_VAULT_TRANSIT_PATH), "."]
    _build("Vault's transit engine", command, _VAULT_TRANSIT, dict(os.environ))


def _build(what: str, command: list[str], folder: Path, environment: dict[str, str]) -> None:
    sys.stdout.write(f"building for the tests: {what}\n")
    sys.stdout.flush()
    try:
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=_BUILD_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        sys.stdout.write(f"it was not built: {error}\n")


_TORCH_NOTICE = (
    "the engines that need torch (Surya's client, docling's pipeline) were left out; "
    "`make test-torch` tests them in an environment of their own"
)


def _absent_parts() -> list[str]:
    data = Path(os.environ.get(_DATA_VARIABLE, REPOSITORY.parent / "shared" / "data"))
    absent = []
    if not data.is_dir():
        absent.append(
            f"the larger test data is absent ({_DATA_VARIABLE} names another folder); "
            "the samples in the repository were used"
        )
    if find_spec("torch") is None:
        absent.append(_TORCH_NOTICE)
    if signature_folder() is None:
        absent.append(
            "no published virus signatures are on this machine; scans were tested with made-up ones"
        )
    return absent


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(exit_code)  # the Temporal SDK may abort an ordinary exit
