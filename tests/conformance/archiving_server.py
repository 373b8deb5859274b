"""An S3 server with an archive: moto's, which knows storage classes, RestoreObject and InvalidObjectState as
S3 itself tells them. The Versity gateway keeps everything at hand."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conformance.key_services import until_listening
from tests.conformance.s3_server import S3Server
from tests.conftest import free_port

START_SECONDS = 60.0


@dataclass(frozen=True)
class ArchivingServer(S3Server):
    """Its buckets lie in its memory; `folder` holds its log."""

    def retrieve_within(self, seconds: float) -> None:
        """From now on a retrieval takes that long, from when its state was first asked for. One of an object
        that was archived since less than that is told wrongly: moto counts from there."""
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
    """Runs the server until the block ends."""
    port = free_port()
    log = folder / "archive.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(os.environ))
    try:
        until_listening(port, process, log)
        # It loads what serves S3 at the first request, which may take longer than tests wait.
        httpx.get(f"http://127.0.0.1:{port}/", timeout=START_SECONDS).raise_for_status()
        yield ArchivingServer(f"127.0.0.1:{port}", folder)
    finally:
        process.kill()
        process.wait()
