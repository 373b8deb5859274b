"""An S3 server with an archive: moto's, which knows storage classes, RestoreObject and InvalidObjectState as
S3 itself tells them. The Versity gateway keeps everything at hand."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conformance.key_services import until_listening
from tests.conformance.s3_server import S3Server
from tests.conftest import REPOSITORY, free_port

START_SECONDS = 60.0
AN_HOUR = 3_600.0


@dataclass(frozen=True)
class ArchivingServer(S3Server):
    """Its buckets lie in its memory; `folder` holds its log."""

    def retrieve_within(self, seconds: float) -> None:
        """From now on a retrieval takes that long, one that has begun too, and from when it was asked for."""
        answer = httpx.post(
            f"http://{self.endpoint}/moto-api/state-manager/set-transition",
            json={
                "model_name": "s3::keyrestore",
                "transition": {"progression": "time", "seconds": seconds},
            },
        )
        answer.raise_for_status()


@contextmanager
def serving_archive(folder: Path) -> Iterator[ArchivingServer]:
    """Runs the server until the block ends. Nothing is retrieved before a test says so."""
    port = free_port()
    log = folder / "archive.log"
    program = "tests.conformance.archiving_process"
    command = [sys.executable, "-m", program, "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=output)
    try:
        until_listening(port, process, log)
        # It loads what serves S3 at the first request, which may take longer than tests wait.
        httpx.get(f"http://127.0.0.1:{port}/", timeout=START_SECONDS).raise_for_status()
        server = ArchivingServer(f"127.0.0.1:{port}", folder)
        server.retrieve_within(AN_HOUR)
        yield server
    finally:
        process.kill()
        process.wait()
