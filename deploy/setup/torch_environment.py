"""`python -m deploy.setup.torch_environment`: a second environment, with the engines that need torch.

It is apart from `.venv` because of its size and because surya-ocr pins older versions of libraries that
all else uses. Run by `make test-torch`; idempotent like the setup itself.
"""

import sys
import time
from pathlib import Path

from deploy.setup.python_environment import package_environment, uv_in_venv
from deploy.setup.steps import CACHE, REPOSITORY, SetupFailed, fingerprint, run, say, step

LOCK = REPOSITORY / "requirements-torch.lock"
TORCH_VENV = CACHE / "torch-venv"
_PYTHON = TORCH_VENV / "bin" / "python"
_MUNIMENT = TORCH_VENV / "bin" / "muniment"
_TOO_NEW = (3, 13)
"""surya-ocr wants a pillow that fastembed does not take from this Python on."""


def main() -> int:
    began = time.monotonic()
    try:
        version = ".".join(map(str, sys.version_info[:3]))
        if sys.version_info >= _TOO_NEW:
            raise SetupFailed(
                f"surya-ocr cannot be installed beside Muniment on Python {version}. Make .venv"
                " with 3.11 or 3.12: `make clean`, `make setup PYTHON=/path/to/python3.12`."
            )
        step(
            "torch environment",
            fingerprint(LOCK, REPOSITORY / "pyproject.toml", version),
            lambda: _PYTHON.exists() and _MUNIMENT.exists(),
            lambda: _install(version),
        )
    except SetupFailed as error:
        sys.stderr.write(f"setup failed: {error}\n")
        return 1
    say(f"setup: the torch environment is in place ({time.monotonic() - began:.1f} s)")
    return 0


def _install(version: str) -> str:
    uv, environment = uv_in_venv(), package_environment()
    # The interpreter under .venv, not .venv itself, which may be made anew under this one's feet.
    # Only this attribute names it: sys.executable and sys.prefix are those of .venv.
    base = Path(sys._base_executable)  # type: ignore[attr-defined] # CPython's, and in no stub
    make = [uv, "venv", "--clear", "--python", base, TORCH_VENV]
    run(make, timeout_seconds=120, environment=environment, failure="No environment was made.")
    say("setup: installing torch and what needs it (about 6 GB the first time) …")
    sync = [uv, "pip", "sync", "--python", _PYTHON, "--require-hashes", LOCK]
    run(sync, timeout_seconds=3600, environment=environment, failure="The packages: not installed.")
    editable = [uv, "pip", "install", "--python", _PYTHON, "--no-deps", "--editable", REPOSITORY]
    run(editable, timeout_seconds=600, environment=environment, failure="Muniment: not installed.")
    return f"Python {version} in {TORCH_VENV.relative_to(REPOSITORY)}"


if __name__ == "__main__":
    sys.exit(main())
