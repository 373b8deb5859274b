"""A whole embedded stack under test: started and killed as processes, spoken to over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import httpx
import psycopg

from tests.patience import on_a_busy_machine

TERMINAL = {"completed", "failed", "cancelled"}
T = TypeVar("T")


_BESIDE_OTHERS = {"MUNIMENT_EMBEDDED__BACKGROUND_NICENESS": "0"}
"""Tests run in other processes, too: those would take all the cores from who stands back."""


@dataclass
class Stack:
    """An embedded stack with its home."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def up(self) -> None:
        """Starts it in the background and returns once it serves."""
        self._command("up", "--detach", timeout_seconds=on_a_busy_machine(120))

    def down(self) -> None:
        self._command("down", timeout_seconds=on_a_busy_machine(60))

    def _command(self, *arguments: str, timeout_seconds: float) -> None:
        log = self.home.parent / f"{self.home.name}-{arguments[0]}.out"
        with log.open("wb") as output:
            finished = subprocess.run(
                [sys.executable, "-m", "deploy.embedded", *arguments, "--home", str(self.home)],
                env={**os.environ, **_BESIDE_OTHERS, **self.environment},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                timeout=timeout_seconds,
                check=False,
            )
        assert finished.returncode == 0, log.read_text(encoding="utf-8", errors="replace")[-4000:]

    @property
    def endpoints(self) -> dict[str, str]:
        document = json.loads((self.home / "run" / "endpoints.json").read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in document.items()}

    @property
    def key(self) -> str:
        return (self.home / "run" / "admin.key").read_text(encoding="utf-8").strip()

    def pid(self, process: str) -> int:
        return int((self.home / "run" / f"{process}.pid").read_text(encoding="utf-8").split()[0])

    def named(self, process: str) -> list[str]:
        """It, and those beside it that do the same: `api` and `api-2`."""
        run = self.home / "run"
        found = (*run.glob(f"{process}.pid"), *run.glob(f"{process}-[0-9]*.pid"))
        return sorted(path.stem for path in found)

    def kill_all(self, process: str) -> dict[str, int]:
        """kill -9 of it and of those beside it, so that nobody does its work; the pids they had."""
        return {name: self.kill(name) for name in self.named(process)}

    def kill(self, process: str) -> int:
        """kill -9 of one process of the stack; returns the pid it had."""
        pid = self.pid(process)
        os.kill(pid, signal.SIGKILL)
        return pid

    def has_successor(self, process: str, old: int) -> bool:
        """Whether a process with that name lives that has another pid than this one."""
        try:
            pid = self.pid(process)
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
            return False
        return pid != old

    def client(self, key: str | None = None, *, timeout_seconds: float = 30) -> httpx.Client:
        return httpx.Client(
            base_url=self.endpoints["api"],
            headers={"Authorization": f"Bearer {key or self.key}"},
            timeout=timeout_seconds,
            trust_env=False,
        )

    def database(self) -> psycopg.Connection:
        """A connection as the embedded superuser, which sees every tenant."""
        return psycopg.connect(self.endpoints["database"], autocommit=True, connect_timeout=10)

    def upload(self, client: httpx.Client, path: Path, **parameters: str) -> dict[str, object]:
        """Uploads a file's raw bytes under its name; the File."""
        response = client.post(
            "/v1/files",
            params={"name": path.name, **parameters},
            content=path.read_bytes(),
            headers={"Content-Type": "application/octet-stream"},
        )
        assert response.status_code in (200, 202), response.text
        document: dict[str, object] = response.json()
        return document

    def get_made(
        self,
        client: httpx.Client,
        path: str,
        *,
        timeout_seconds: float = 120,
        **parameters: str | int,
    ) -> httpx.Response:
        """What is made when it is asked for, such as a page's picture: 503 while no worker is free
        to make it, and asked for again until then."""

        def made() -> httpx.Response | None:
            response = client.get(path, params=parameters or None)
            return None if response.status_code == 503 else response

        return wait_for(made, timeout_seconds=timeout_seconds, what=path)

    def finished_job(
        self, client: httpx.Client, job_id: object, *, timeout_seconds: float = 120
    ) -> dict[str, object]:
        """The job once it is over, asked for through outages of the API."""

        def over() -> dict[str, object] | None:
            try:
                response = client.get(f"/v1/jobs/{job_id}")
            except httpx.TransportError:
                return None
            if response.status_code != 200:
                return None
            job: dict[str, object] = response.json()
            return job if job["state"] in TERMINAL else None

        return wait_for(over, timeout_seconds=timeout_seconds, what=f"job {job_id} to end")


def wait_for(
    probe: Callable[[], T | None], *, timeout_seconds: float, what: str, pause_seconds: float = 0.1
) -> T:
    """What the probe returns once it returns something."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(pause_seconds)
    raise AssertionError(f"waited {timeout_seconds} s in vain for {what}")


@contextmanager
def running_stack(home: Path, **environment: str) -> Iterator[Stack]:
    """With two API processes on a machine of one core, too."""
    stack = Stack(home, {"MUNIMENT_EMBEDDED__API_PROCESSES": "2", **environment})
    stack.up()
    try:
        yield stack
    finally:
        stack.down()


def chunk_texts(stack: Stack, file_ids: Sequence[object]) -> dict[str, list[str]]:
    """Every file's published chunks in order, by the name of the file."""
    with stack.database() as connection:
        rows = connection.execute(
            "SELECT file.name, chunk.ordinal, chunk.text FROM chunk JOIN file ON file.id = file_id"
            " WHERE file.id = ANY(%s) ORDER BY file.name, chunk.ordinal",
            ([UUID(str(file_id)) for file_id in file_ids],),
        ).fetchall()
    texts: dict[str, list[str]] = {}
    for name, ordinal, text in rows:
        assert ordinal == len(texts.setdefault(name, [])), f"{name}: chunk {ordinal} out of place"
        texts[name].append(text)
    return texts
