"""Steps that are done once: each has a stamp with the fingerprint of what it depends on."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache"
VENV = REPOSITORY / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
_STAMPS = CACHE / "stamps"


class SetupFailed(Exception):
    """A step failed. The message says what is wrong and what to do, for the person who ran it."""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fingerprint(*parts: str | Path) -> str:
    """A hash over texts and over the content of files."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def step(name: str, wanted: str, is_there: Callable[[], bool], do: Callable[[], str]) -> None:
    """Runs `do` unless its stamp has the fingerprint `wanted` and its result `is_there`.

    `do` returns what to tell; the line gives the time it took. Raises SetupFailed.
    """
    stamp = _STAMPS / name.replace(" ", "-")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted and is_there():
        return
    began = time.monotonic()
    say(f"setup: {name} …")
    outcome = do()
    say(f"setup: {name}: {outcome} ({time.monotonic() - began:.1f} s)")
    _STAMPS.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted, encoding="utf-8")


def run(
    command: Sequence[object],
    *,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    failure: str,
) -> str:
    """Runs a program; its standard output. Raises SetupFailed with its last words."""
    try:
        answer = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            env=dict(environment) if environment is not None else None,
            cwd=REPOSITORY,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SetupFailed(f"{failure} It took more than {timeout_seconds:.0f} s.") from None
    except OSError as error:
        raise SetupFailed(f"{failure} ({error})") from error
    if answer.returncode != 0:
        words = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-15:])
        raise SetupFailed(f"{failure}\n{words}")
    return answer.stdout
