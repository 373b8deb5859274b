"""Runs `python -m deploy.embedded` as a user would, with stand-ins for the API and the workers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg

from deploy.embedded.control import resolved_home, status
from deploy.embedded.home import Home
from deploy.embedded.records import Endpoints, ProcessState, StackState, StackStatus, read_endpoints

HERE = Path(__file__).parent
QUEUES = {
    "worker-io": "muniment,muniment-scan,muniment-verify,muniment-deliver",
    "worker-cpu": "muniment-parse,muniment-ocr-cpu,muniment-embed,muniment-evaluate",
}
CHILDREN = ("postgres", "temporal", "api", "worker-io", "worker-cpu")


class StackProcess:
    """One home and the supervisor started for it."""

    def __init__(self, path: Path) -> None:
        self.home: Home = resolved_home(path)
        self.process: subprocess.Popen[bytes] | None = None
        self.output = path.with_name(f"{path.name}.txt")

    def start(self, *arguments: str) -> "StackProcess":
        """Starts `up` in the foreground of a process of ours and waits until it is ready."""
        self.process = self.run_in_background(*arguments)
        wait_for(lambda: self.status().state is StackState.RUNNING, "ready", process=self.process)
        return self

    def run_in_background(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            return subprocess.Popen(
                up_command(self.home.root, *arguments), stdout=output, stderr=output, cwd="/"
            )

    def status(self) -> StackStatus:
        return status(self.home)

    @property
    def endpoints(self) -> Endpoints:
        found = read_endpoints(self.home)
        assert found is not None, "endpoints.json is missing"
        return found

    def pid(self, name: str) -> int:
        return int(self.home.pid_file(name).read_text(encoding="utf-8"))

    def kill_and_await_restart(self, name: str, seconds: float = 120) -> int:
        """`kill -9`, then the new pid once the process is ready again."""
        before = self.pid(name)
        os.kill(before, signal.SIGKILL)

        def restarted() -> bool:
            found = {process.name: process for process in self.status().processes}.get(name)
            return (
                found is not None
                and found.pid not in (None, before)
                and found.state is ProcessState.RUNNING
            )

        wait_for(restarted, f"{name} to be restarted", seconds=seconds)
        return self.pid(name)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal to the supervisor and waits for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs another command of deploy.embedded on this home."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "deploy.embedded", *arguments, "--home", self.home.root],
            capture_output=True,
            text=True,
            timeout=120,
            cwd="/",
            check=False,
        )


def up_command(home: Path, *arguments: str) -> list[str]:
    replaced = {"api": f"{sys.executable} {HERE / 'stand_in_api.py'}"}
    for name, queues in QUEUES.items():
        replaced[name] = f"{sys.executable} {HERE / 'stand_in_worker.py'} {queues}"
    commands = [
        part for name, value in replaced.items() for part in ("--command", f"{name}={value}")
    ]
    home_arguments = ["--home", str(home)]
    module = [sys.executable, "-P", "-m", "deploy.embedded", "up"]
    return [*module, *home_arguments, *commands, *arguments]


def wait_for(
    holds: Callable[[], bool],
    what: str,
    seconds: float = 180,
    process: subprocess.Popen[bytes] | None = None,
) -> None:
    """Waits until a condition holds; fails at once when the process that should bring it ends."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert process is None or process.poll() is None, f"ended while waiting for {what}"
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def processes_of(home: Home) -> list[psutil.Process]:
    """Every process that carries the home's mark or serves its cluster, found without our records."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("MUNIMENT_SUPERVISED_HOME") == str(home.root)
            if marked or Path(process.cwd()).is_relative_to(home.root):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def write_row(endpoints: Endpoints, value: str) -> None:
    with psycopg.connect(endpoints.database, connect_timeout=5) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS public.kept_through_crashes (value text)")
        connection.execute("INSERT INTO public.kept_through_crashes VALUES (%s)", (value,))


def read_rows(endpoints: Endpoints) -> list[str]:
    with psycopg.connect(endpoints.database, connect_timeout=5) as connection:
        rows = connection.execute("SELECT value FROM public.kept_through_crashes").fetchall()
    return [str(row[0]) for row in rows]
