"""A real S3 server for tests: the Versity gateway over a folder of its own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
VERSION = "v1.8.0"
BUILD_TIMEOUT_SECONDS = 280
START_TIMEOUT_SECONDS = 20
ACCESS_KEY = "muniment"
SECRET_KEY = "muniment-test"


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the folder whose subfolders are its buckets."""

    endpoint: str
    folder: Path
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY


def versitygw_binary() -> Path:
    """The gateway from PATH or `.cache/bin`; else built there with Go (about two minutes)."""
    on_path = shutil.which("versitygw")
    if on_path:
        return Path(on_path)
    cached = REPOSITORY / ".cache" / "bin" / "versitygw"
    if not cached.exists():
        go = shutil.which("go")
        assert go, "the S3 tests need `versitygw` on PATH, or Go to build it"
        cached.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [go, "install", f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"],
            env={**os.environ, "GOBIN": str(cached.parent)},
            check=True,
            timeout=BUILD_TIMEOUT_SECONDS,
        )
    return cached


@contextmanager
def serving_s3(folder: Path) -> Iterator[S3Server]:
    """Runs the gateway over a folder until the block ends."""
    binary = versitygw_binary()
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    buckets = folder / "buckets"
    attributes = folder / "attributes"
    buckets.mkdir(parents=True)
    attributes.mkdir()
    command = [
        str(binary), "--port", f"127.0.0.1:{port}", "--access", ACCESS_KEY, "--secret", SECRET_KEY,
        "--keep-alive", "--quiet", "posix", "--sidecar", str(attributes), str(buckets),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until_listening(port, process, folder / "log")
        yield S3Server(f"127.0.0.1:{port}", buckets)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the S3 server ended at once: {log.read_text()}"
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the S3 server did not listen in time")
