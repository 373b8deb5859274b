"""Key services for tests: Vault's transit engine, and an AWS KMS, as processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.run_tests import vault_transit_program
from tests.conftest import free_port

START_TIMEOUT_SECONDS = 60
VAULT_TOKEN = "a-token-of-these-tests"
_FOR_KMS = (
    "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-2/kms/aws4_request, SignedHeaders=, Signature="
)


@dataclass(frozen=True)
class KeyServer:
    """Where it listens, and the process, which tests may stop for a while."""

    url: str
    process: subprocess.Popen[bytes]

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Takes connections and answers nothing until the block ends."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def serving_vault(folder: Path) -> Iterator[KeyServer]:
    """Vault's own transit engine (`vault_transit/main.go`), with nothing in it."""
    program = vault_transit_program()
    assert program, "the tests of Vault need its transit engine, which `make test` builds with Go"
    port = free_port()
    environment = {**os.environ, "VAULT_TRANSIT_TOKEN": VAULT_TOKEN}
    command = [str(program), f"127.0.0.1:{port}"]
    with _serving(command, port, folder / "vault.log", environment) as server:
        yield server


@contextmanager
def serving_aws_kms(folder: Path) -> Iterator[KeyServer]:
    """moto's server, which speaks KMS's API. It goes on using keys that are to be deleted, which KMS
    itself refuses: that they are is asked of it by DescribeKey."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _serving(command, port, folder / "aws.log", dict(os.environ)) as server:
        # It loads what serves KMS at the first request, which may take longer than tests wait.
        headers = {"X-Amz-Target": "TrentService.ListAliases", "Authorization": _FOR_KMS}
        httpx.post(server.url, headers=headers, content=b"{}", timeout=60).raise_for_status()
        yield server


@contextmanager
def _serving(
    command: list[str], port: int, log: Path, environment: dict[str, str]
) -> Iterator[KeyServer]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        until_listening(port, process, log)
        yield KeyServer(f"http://127.0.0.1:{port}", process)
    finally:
        process.kill()
        process.wait()


def until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the key service ended at once: {log.read_text()}"
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the key service did not listen in time")
