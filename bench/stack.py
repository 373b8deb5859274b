"""An embedded stack of the benchmark's own, in a temporary home."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
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
    database: str
    """Its address as the owner, whom no rule of the rows keeps from any."""
    temporal_address: str
    temporal_metrics: str
    """The address at which Temporal tells what it was asked."""
    namespace: str


@contextmanager
def embedded_stack(settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Started with default settings but for those that are given, stopped and removed however the block
    ends."""
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as folder:
        home = Path(folder, "home")
        try:
            command = ("up", "--home", str(home), "--detach")
            _run(*command, timeout_seconds=_START_SECONDS, settings=settings or {})
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
        str(endpoints["database"]),
        str(endpoints["temporal"]),
        f"http://127.0.0.1:{places['temporal_metrics']}/metrics",
        str(endpoints["namespace"]),
    )


def _run(
    *arguments: str, timeout_seconds: float, settings: Mapping[str, str] | None = None
) -> None:
    subprocess.run(
        [sys.executable, "-P", "-m", "deploy.embedded", *arguments],
        env={**os.environ, **(settings or {})},
        stdout=sys.stderr,
        timeout=timeout_seconds,
        check=True,
    )
