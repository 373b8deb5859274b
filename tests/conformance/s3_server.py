"""A real S3 server for tests: the Versity gateway over a folder of its own."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from deploy.run_tests import versitygw_program
from muniment.objects import connect_s3
from tests.certificates import Identity

START_TIMEOUT_SECONDS = 60
ACCESS_KEY = "muniment"
SECRET_KEY = "muniment-test"


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the folder whose subfolders are its buckets."""

    endpoint: str
    folder: Path
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    def new_bucket(self) -> "S3Bucket":
        name = f"bucket-{uuid4().hex}"
        client = connect_s3(self.endpoint, self.access_key, self.secret_key, secure=False)
        client.make_bucket(name)
        client._http.clear()
        return S3Bucket(self, name)


@dataclass(frozen=True)
class S3Bucket:
    """A bucket, as settings name it, and the folder in which its objects lie as plain files."""

    server: S3Server
    name: str

    @property
    def folder(self) -> Path:
        return self.server.folder / self.name

    def environment(self, group: str) -> dict[str, str]:
        """The variables of a group of settings that describes a store."""
        values = {
            "BACKEND": "s3",
            "ENDPOINT": self.server.endpoint,
            "BUCKET": self.name,
            "ACCESS_KEY": self.server.access_key,
            "SECRET_KEY": self.server.secret_key,
            "SECURE": "false",
        }
        return {f"MUNIMENT_{group}__{name}": value for name, value in values.items()}


def versitygw_binary() -> Path:
    """The gateway from PATH or `.cache/bin`, where `deploy.run_tests` builds it."""
    binary = versitygw_program()
    assert binary, "the S3 tests need `versitygw`: on PATH, or built by `make test`, which needs Go"
    return binary


class S3Process:
    """The gateway over a folder; started again, it serves the same buckets at the same address."""

    def __init__(self, folder: Path, identity: Identity | None = None) -> None:
        """With https where it has an identity."""
        binary = versitygw_binary()
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        buckets, attributes = folder / "buckets", folder / "attributes"
        buckets.mkdir(parents=True)
        attributes.mkdir()
        tls = ["--cert", str(identity.certificate), "--key", str(identity.key)] if identity else []
        self._command = [
            str(binary), "--port", f"127.0.0.1:{self.port}", "--access", ACCESS_KEY,
            "--secret", SECRET_KEY, "--keep-alive", "--quiet", *tls,
            "posix", "--sidecar", str(attributes), str(buckets),
        ]  # fmt: skip
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.server = S3Server(f"127.0.0.1:{self.port}", buckets)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        _until_listening(self.port, self._process, self._log)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def serving_s3(folder: Path, identity: Identity | None = None) -> Iterator[S3Server]:
    """Runs the gateway over a folder until the block ends; with https where it has an identity."""
    process = S3Process(folder, identity)
    try:
        process.start()
        yield process.server
    finally:
        process.stop()


def _until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the S3 server ended at once: {log.read_text()}"
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the S3 server did not listen in time")
