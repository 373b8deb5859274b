"""`python -m deploy.run_tests [pytest arguments]`: the tests, and loudly what was left out.

Exit code: pytest's own; finding no test at all (5) is a failure like any other.
"""

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from deploy.absences import SummaryOfAbsences
from deploy.packages_of_tests import install_packages_of_tests

REPOSITORY = Path(__file__).resolve().parents[1]
_DATA_VARIABLE = "MUNIMENT_TEST_DATA"
_VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
_VERSITYGW_PATH = REPOSITORY / ".cache" / "bin" / "versitygw"
_VAULT_TRANSIT = REPOSITORY / "tests" / "conformance" / "vault_transit"
_VAULT_TRANSIT_PATH = REPOSITORY / ".cache" / "bin" / "vault-transit"
_BUILD_SECONDS = 900
_SOME_FAILED = int(pytest.ExitCode.TESTS_FAILED)
_MOST_TRIED_AGAIN = 5
"""More than that is no accident of a busy machine."""
_AGAIN_SECONDS = 1_800
_MOST_PROCESSES = 4
_BYTES_OF_A_PROCESS = 3 * 1024**3
"""Each has a PostgreSQL, a Temporal server and the models of its own."""


def main(arguments: list[str]) -> int:
    _keep_bytecode()
    install_packages_of_tests()
    _build_versitygw()
    _build_vault_transit()
    summary = SummaryOfAbsences()
    began = time.monotonic()
    code = int(pytest.main(_arguments(arguments), plugins=[summary]))
    beside_others: list[str] = []
    if not arguments and code == _SOME_FAILED and len(summary.failed) <= _MOST_TRIED_AGAIN:
        beside_others = sorted(summary.failed)
        code = try_again_alone(beside_others)
    absences = [*_absent_parts(), *summary.lines()]
    lines = [f"tests ended with {code} after {time.monotonic() - began:.0f} s"]
    lines += [f"FAILED BESIDE OTHERS, and was run again alone: {test}" for test in beside_others]
    if absences:
        lines += ["NOT EVERYTHING COULD BE TESTED:", *(f"  - {absence}" for absence in absences)]
    else:
        lines.append("nothing was left out")
    sys.stdout.write("\n".join(lines) + "\n")
    return code


def _arguments(given: list[str]) -> list[str]:
    """pytest's. All tests are shared out among several processes (deploy/sharing_out.py); tests that
    somebody chose run one after another, since some of them measure."""
    every = ["--rootdir", str(REPOSITORY), "-p", "deploy.process_absences"]
    if given:
        return [*every, *given]
    shared_out = ["--numprocesses", str(_processes()), "-p", "deploy.sharing_out"]
    return [*every, *shared_out, "--no-loadscope-reorder", "--durations", "25"]


def _processes() -> int:
    """One more than there are cores: tests wait for what they have started nearly half of their time."""
    room = psutil.virtual_memory().available // _BYTES_OF_A_PROCESS
    return max(1, min((os.cpu_count() or 1) + 1, _MOST_PROCESSES, room))


def _keep_bytecode() -> None:
    """Tests start some hundred processes of ours: each would compile for a third of a second what it
    loads, and each that runs tests for four seconds."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def try_again_alone(tests: list[str]) -> int:
    """The exit code of a run of these tests one after another: on a machine that other tests had as
    well, time may have been what failed. They are named in the last lines all the same."""
    command = [sys.executable, "-m", "pytest", "--rootdir", str(REPOSITORY), *tests]
    sys.stdout.write(f"{len(tests)} tests that failed beside others are run again alone\n")
    sys.stdout.flush()
    return subprocess.run(command, cwd=REPOSITORY, check=False, timeout=_AGAIN_SECONDS).returncode


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
    # Only now: anyio, which this imports, is a plugin that pytest wants to import itself.
    from deploy.embedded.scanner import signature_folder

    if signature_folder() is None:
        absent.append(
            "no published virus signatures are on this machine; scans were tested with made-up ones"
        )
    return absent


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(exit_code)  # the Temporal SDK may abort an ordinary exit
