"""The virtual environment: uv at its locked version, and every package at its locked hash."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy.setup.steps import (
    CACHE,
    REPOSITORY,
    VENV,
    VENV_PYTHON,
    SetupFailed,
    fingerprint,
    run,
    say,
    step,
)

LOCK = REPOSITORY / "requirements.lock"
_PROJECT = REPOSITORY / "pyproject.toml"
_TOOLS = CACHE / "tools"
_NO_PIP = (
    "This Python can neither make virtual environments nor install packages. Install its venv and "
    "pip modules (Debian and Ubuntu: `apt-get install python3-venv`; Fedora: `dnf install "
    "python3-pip`), or uv, and run `make setup` again."
)


def prepare_python_environment() -> None:
    """`.venv` with exactly the locked packages and the `muniment` command. Raises SetupFailed."""
    version = ".".join(map(str, sys.version_info[:3]))
    step(
        "python environment",
        fingerprint(LOCK, _PROJECT, version),
        lambda: VENV_PYTHON.exists() and (VENV / "bin" / "muniment").exists(),
        lambda: _install(version),
    )


def _install(version: str) -> str:
    uv = _uv()
    environment = package_environment()
    if not VENV_PYTHON.exists() or not _has_version(VENV_PYTHON, version):
        command = [uv, "venv", "--clear", "--python", sys.executable, VENV]
        run(command, timeout_seconds=120, environment=environment, failure="No .venv was made.")
    say("setup: installing the locked packages (about 1.4 GB the first time) …")
    failure = "The locked packages were not installed."
    # Byte code made now, with every core, is not made by the first start: it takes that 10 s.
    sync = [uv, "pip", "sync", "--compile-bytecode", "--python", VENV_PYTHON, "--require-hashes"]
    sync.append(LOCK)
    run(sync, timeout_seconds=3600, environment=environment, failure=failure)
    editable = [
        uv,
        "pip",
        "install",
        "--python",
        VENV_PYTHON,
        "--no-deps",
        "--editable",
        REPOSITORY,
    ]
    run(editable, timeout_seconds=600, environment=environment, failure="Muniment: not installed.")
    return f"Python {version} in .venv"


def uv_in_venv() -> Path:
    """uv as locked: it is among the development tools."""
    return VENV / "bin" / "uv"


def _uv() -> Path:
    """A uv to begin with: the locked one where it was installed before, one on PATH, else fetched."""
    for candidate in (uv_in_venv(), _TOOLS / "bin" / "uv"):
        if candidate.exists() and _runs(candidate):
            return candidate
    on_path = shutil.which("uv")
    if on_path is not None and _runs(Path(on_path)):
        return Path(on_path)
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text(locked_requirement("uv"), encoding="utf-8")
        _install_with_pip(requirement)
    return _TOOLS / "bin" / "uv"


def _install_with_pip(requirement: Path) -> None:
    """Installs into `.cache/tools`: with pip of a new environment, else with the system's own."""
    install = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(requirement)]
    shutil.rmtree(_TOOLS, ignore_errors=True)
    if _can_import("ensurepip") and _can_import("venv"):
        run([sys.executable, "-m", "venv", _TOOLS], timeout_seconds=300, failure=_NO_PIP)
    elif _can_import("pip"):
        target = ["--target", str(_TOOLS)]
        run([sys.executable, *install, *target], timeout_seconds=600, failure="uv: not installed.")
        return
    else:
        _install_venv_module()
        run([sys.executable, "-m", "venv", _TOOLS], timeout_seconds=300, failure=_NO_PIP)
    python = _TOOLS / "bin" / "python"
    run([python, *install], timeout_seconds=600, failure="uv was not installed.")


def _install_venv_module() -> None:
    """Debian keeps venv apart from Python: fetched where we may. Raises SetupFailed."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupFailed(_NO_PIP)
    major_minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    say("setup: installing the distribution's python3-venv (apt-get) …")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with contextlib.suppress(SetupFailed):  # stale package lists can still hold what is needed
        run(["apt-get", "update"], timeout_seconds=300, environment=environment, failure="")
    packages = ["python3-venv", f"python{major_minor}-venv"]
    for package in packages:
        with contextlib.suppress(SetupFailed):
            command = ["apt-get", "install", "-y", "--no-install-recommends", package]
            run(command, timeout_seconds=600, environment=environment, failure=_NO_PIP)
    if not _can_import("ensurepip"):
        raise SetupFailed(_NO_PIP)


def locked_requirement(name: str) -> str:
    """The block of one package in the lock file: its version and every hash."""
    block = re.search(
        rf"^{re.escape(name)}==[^\n]*(?:\n[ \t]+--hash[^\n]*)+",
        LOCK.read_text(encoding="utf-8"),
        re.M,
    )
    if block is None:
        raise SetupFailed(f"{LOCK.name} holds no {name}; write the lock file again.")
    return block[0] + "\n"


def package_environment() -> Mapping[str, str]:
    """The environment for uv: what pip is told about indexes and certificates holds for it, too.

    uv does not read pip's configuration; a machine behind a mirror has often only that.
    """
    environment = dict(os.environ) | {"UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    translated = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "cert": "SSL_CERT_FILE",
    }
    for name, value in _pip_configuration().items():
        variable = translated.get(name)
        if variable is not None and ("://" in value or Path(value).exists()):
            environment.setdefault(variable, value)
    return environment


def _pip_configuration() -> dict[str, str]:
    """pip's settings by name: from its files, where there is a pip, and from PIP_… variables."""
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        answer = ""
    lines = re.findall(r"^[a-z]+\.([a-z-]+)='([^'\n]*)'$", answer, re.M)
    found = {name: value for name, value in lines if "\\n" not in value}
    for name in ("index-url", "extra-index-url", "find-links", "cert"):
        value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            found[name] = value
    return found


def _runs(program: Path) -> bool:
    try:
        return (
            subprocess.run([program, "--version"], capture_output=True, timeout=30).returncode == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False


def _has_version(python: Path, version: str) -> bool:
    code = "import platform; print(platform.python_version())"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=30)
    return answer.stdout.strip() == version


def _can_import(module: str) -> bool:
    """Whether the system's Python has a module whole: Debian has `venv` without `ensurepip`."""
    code = f"import {module}"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
