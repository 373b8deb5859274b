"""An embedded stack of the benchmark's own, in a temporary home."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS = 300
_STOP_SECONDS = 120


@dataclass(frozen=True)
class Stack:
    home: Path
    api: str
    """Its address, with the scheme."""
    key: str
    """An API key with every scope."""
    temporal_address: str
    temporal_metrics: str
    """The address at which Temporal tells what it was asked."""
    namespace: str
    database: str
    """DSN of the embedded superuser."""


@contextmanager
def embedded_stack() -> Iterator[Stack]:
    """Started with default settings, stopped and removed however the block ends."""
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as folder:
        home = Path(folder, "home")
        try:
            _run("up", "--home", str(home), "--detach", timeout_seconds=_START_SECONDS)
            yield _stack(home)
        finally:
            _run("down", "--home", str(home), timeout_seconds=_STOP_SECONDS)


def _stack(home: Path) -> Stack:
    endpoints = json.loads((home / "run" / "endpoints.json").read_bytes())
    places = json.loads((home / "run" / "places.json").read_bytes())
    return Stack(
        home,
        str(endpoints["api"]),
        (home / "run" / "admin.key").read_text(encoding="utf-8").strip(),
        str(endpoints["temporal"]),
        f"http://127.0.0.1:{places['temporal_metrics']}/metrics",
        str(endpoints["namespace"]),
        str(endpoints["database"]),
    )


def _run(*arguments: str, timeout_seconds: float) -> None:
    subprocess.run(
        [sys.executable, "-P", "-m", "deploy.embedded", *arguments],
        stdout=sys.stderr,
        timeout=timeout_seconds,
        check=True,
    )
