"""Ray with mutual TLS: a worker's own node speaks it, and whoever comes without is not let in."""

import os
import secrets
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from muniment.errors import ConfigurationError
from muniment.settings import RaySettings
from tests.certificates import Authority, Identity
from tests.conftest import REPOSITORY
from worker.ocr_cluster import OcrCluster

pytestmark = pytest.mark.timeout(1_200)

START_SECONDS = 400
JOIN_SECONDS = 300
# In processes of their own: Ray reads these settings once, when it is first imported.
NODE = """
import asyncio, sys
from muniment.settings import load_settings
from worker.ocr_cluster import OcrCluster

async def main():
    async with OcrCluster(load_settings().ray) as cluster:
        import ray
        print(ray.get_runtime_context().gcs_address, len(await cluster.batch_sizes()), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
VISITOR = """
import asyncio, os, sys
from muniment.errors import ConfigurationError
from muniment.settings import load_settings
from worker import ocr_cluster

ocr_cluster.JOIN_SECONDS = float(sys.argv[1])

async def main():
    try:
        async with ocr_cluster.OcrCluster(load_settings().ray) as cluster:
            print("joined", cluster.slots, flush=True)
    except ConfigurationError as error:
        print(error.detail, error.remedy, flush=True)

asyncio.run(main())
os._exit(0)
"""


def environment(identity: Identity, authority: Authority, token: str) -> dict[str, str]:
    return {
        **os.environ,
        "ORT_DISABLE_TELEMETRY": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "MUNIMENT_RAY__OBJECT_STORE_BYTES": str(100 * 1024**2),
        "MUNIMENT_RAY__TLS_CERTIFICATE": str(identity.certificate),
        "MUNIMENT_RAY__TLS_KEY": str(identity.key),
        "MUNIMENT_RAY__CA_FILE": str(authority.file),
    }


def addresses_of_this_machine() -> list[str]:
    found = [each for link in psutil.net_if_addrs().values() for each in link]
    return [each.address for each in found if each.family == socket.AF_INET]


def visit(environment: Mapping[str, str], within_seconds: int) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", VISITOR, str(within_seconds)],
        cwd=REPOSITORY,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def certificate_at(address: str, ours: Identity, authority: Authority) -> bytes | None:
    """What is shown there to whoever comes with that identity."""
    host, port = address.rsplit(":", 1)
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(ours.certificate, ours.key)
    with (
        socket.create_connection((host, int(port)), timeout=30) as connection,
        context.wrap_socket(connection, server_hostname=host) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True)


def test_ray_takes_those_of_its_authority_and_nobody_else(
    authority: Authority, stranger: Authority
) -> None:
    names = ["localhost", *addresses_of_this_machine()]
    token = secrets.token_hex(32)
    identity = authority.issue(*names)
    right = environment(identity, authority, token)
    node = subprocess.Popen(
        [sys.executable, "-c", NODE],
        cwd=REPOSITORY,
        env=right,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert node.stdout is not None
        line = node.stdout.readline()
        assert line, "the worker's Ray did not start"
        address = line.split()[0]
        joining = {"MUNIMENT_RAY__ADDRESS": address}
        shown = certificate_at(address, identity, authority)
        authority.renew(identity, *names, lives=timedelta(days=30))
        # It has no way to read them again: both have to be good until it is started anew.
        assert certificate_at(address, identity, authority) == shown
        assert "joined" in visit(right | joining, JOIN_SECONDS), "with the renewed one"
        foreign = environment(stranger.issue(*names), stranger, token)
        plain = {name: value for name, value in right.items() if "RAY__TLS" not in name}
        del plain["MUNIMENT_RAY__CA_FILE"]
        with ThreadPoolExecutor() as threads:
            visits = threads.map(visit, (foreign | joining, plain | joining), (10, 10))
        for refused in visits:
            assert "did not take this worker" in refused
            assert "MUNIMENT_RAY__TLS_CERTIFICATE" in refused
    finally:
        node.communicate(timeout=120)


def test_files_that_cannot_be_used_are_told_before_ray_starts(
    authority: Authority, tmp_path: Path
) -> None:
    identity = authority.issue("localhost")
    other = authority.issue("localhost", lives=timedelta(days=1))
    for certificate, key, ca_file in (
        (identity.certificate, None, authority.file),
        (identity.certificate, other.key, authority.file),
        (identity.certificate, identity.key, tmp_path / "absent.pem"),
    ):
        settings = RaySettings(tls_certificate=certificate, tls_key=key, ca_file=ca_file)
        with pytest.raises(ConfigurationError, match="MUNIMENT_RAY__"):
            OcrCluster(settings)
