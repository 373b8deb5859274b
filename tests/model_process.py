"""Starts the test server of language models (`tests.model_server`)."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.conftest import REPOSITORY, free_port

START_SECONDS = 60


@dataclass(frozen=True)
class ModelServer:
    url: str
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The requests that came so far, in their order."""
        answer = httpx.get(f"{self.url}/seen", trust_env=False, timeout=10)
        requests: list[dict[str, Any]] = answer.json()
        return requests


@contextmanager
def serving_models() -> Iterator[ModelServer]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.model_server", str(port)], cwd=REPOSITORY
    )
    server = ModelServer(f"http://127.0.0.1:{port}", process)
    try:
        for _ in range(START_SECONDS * 10):
            assert process.poll() is None
            try:
                assert server.seen == []
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                break
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)
