"""The API over https: who is served, who refuses it, and a certificate renewed while it serves."""

import asyncio
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from muniment.client import ApiUnreachable, AsyncMuniment, Muniment
from tests.api.conftest import ApiProcess, start_api, stop_api
from tests.certificates import Authority, Identity, server_tls
from tests.conftest import REPOSITORY, TenantFixture
from tests.stack import wait_for
from tests.tls_relay import tls_before

RENEWED_WITHIN_SECONDS = 40


@pytest.fixture(scope="module")
def identity(authority: Authority) -> Identity:
    return authority.issue("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def api(
    application_dsn: str,
    temporal_address: str,
    identity: Identity,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiProcess]:
    environment = {
        "MUNIMENT_DATABASE__URL": application_dsn,
        "MUNIMENT_TEMPORAL__ADDRESS": temporal_address,
        "MUNIMENT_API__TLS_CERTIFICATE": str(identity.certificate),
        "MUNIMENT_API__TLS_KEY": str(identity.key),
    }
    api = start_api(tmp_path_factory.mktemp("https"), environment)
    yield api
    assert stop_api(api) == 0


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.file)


def browser(api: ApiProcess, authority: Authority, key: str = "none") -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=api.url,
        headers={"Authorization": f"Bearer {key}"},
        verify=trusting(authority),
        trust_env=False,
        timeout=30,
    )


def shown_serial(api: ApiProcess, authority: Authority) -> str:
    """The serial number of the certificate that a new connection is shown."""
    port = httpx.URL(api.url).port
    with (
        socket.create_connection(("127.0.0.1", port or 0), 10) as plain,
        trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        shown = connection.getpeercert()
    assert shown
    return str(shown["serialNumber"])


def finding(readiness: httpx.Response, name: str) -> dict[str, str]:
    dependencies: list[dict[str, str]] = readiness.json()["dependencies"]
    return next(each for each in dependencies if each["name"] == name)


async def test_every_answer_tells_browsers_to_stay_with_https(
    api: ApiProcess, authority: Authority, tenant: TenantFixture
) -> None:
    async with browser(api, authority, tenant.api_key) as client:
        for path in ("/healthz", "/v1/files", "/no/such/path", "/v1/files/garbage"):
            answer = await client.get(path)
            assert answer.headers["Strict-Transport-Security"] == "max-age=86400"
        ready = await client.get("/readyz")
    assert finding(ready, "certificate")["state"] == "ok"
    assert finding(ready, "transport")["state"] == "ok"


async def test_the_clients_and_the_command_line_trust_the_authority_that_they_are_given(
    api: ApiProcess, authority: Authority, tenant: TenantFixture, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Sent over https.")
    with Muniment(api.url, tenant.api_key, ca_file=authority.file) as client:
        file = client.upload(letter)
    async with AsyncMuniment(api.url, tenant.api_key, ca_file=authority.file) as client:
        assert (await client.files.get(file.id)).name == "letter.txt"
    listed = _command(api, tenant, "files", "--json", MUNIMENT_API__CA_FILE=str(authority.file))
    assert listed.returncode == 0, listed.stderr
    assert "letter.txt" in listed.stdout


async def test_a_client_refuses_an_authority_that_it_does_not_know_at_once(
    api: ApiProcess, stranger: Authority, tenant: TenantFixture
) -> None:
    for trusted in (stranger.file, None):
        with (
            Muniment(api.url, tenant.api_key, ca_file=trusted) as client,
            pytest.raises(ApiUnreachable, match="authority is another") as refused,
        ):
            client.files.list()
        assert "MUNIMENT_API__CA_FILE" in refused.value.remedy
    ended = _command(api, tenant, "files")
    assert ended.returncode != 0
    assert "MUNIMENT_API__CA_FILE" in ended.stdout + ended.stderr


@pytest.mark.parametrize(("fault", "told"), [("name", "another name"), ("expired", "expired")])
async def test_a_client_refuses_a_wrong_certificate(
    fault: str, told: str, api: ApiProcess, authority: Authority, tenant: TenantFixture
) -> None:
    """Whoever stands between a client and the API shows what it has."""
    lives = timedelta(days=-1) if fault == "expired" else timedelta(days=30)
    shown = authority.issue("elsewhere.test" if fault == "name" else "127.0.0.1", lives=lives)
    with (
        tls_before(api.url.removeprefix("https://"), server_tls(shown)) as port,
        Muniment(f"https://127.0.0.1:{port}", tenant.api_key, ca_file=authority.file) as client,
        pytest.raises(ApiUnreachable, match=told),
    ):
        client.files.list()


async def test_neither_http_nor_an_old_tls_is_served(api: ApiProcess, authority: Authority) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            await client.get(api.url.replace("https:", "http:") + "/healthz")
    old = trusting(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    port = httpx.URL(api.url).port
    with (
        socket.create_connection(("127.0.0.1", port or 0), 10) as plain,
        pytest.raises(ssl.SSLError),
    ):
        old.wrap_socket(plain, server_hostname="127.0.0.1")


async def test_a_certificate_is_renewed_without_losing_a_request(
    api: ApiProcess, authority: Authority, identity: Identity, tenant: TenantFixture
) -> None:
    before = shown_serial(api, authority)
    renewed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"begun under the old certificate, "
        await renewed.wait()
        yield b"ended under the new one"

    async with browser(api, authority, tenant.api_key) as client:
        upload = asyncio.create_task(
            client.post("/v1/files?name=long.txt", content=body(), timeout=120)
        )
        await asyncio.sleep(0.2)
        authority.renew(identity, "127.0.0.1", "localhost", lives=timedelta(days=5))
        await asyncio.to_thread(
            wait_for,
            lambda: shown_serial(api, authority) != before,
            timeout_seconds=RENEWED_WITHIN_SECONDS,
            what="the renewed certificate",
        )
        renewed.set()
        assert (await upload).status_code == 202
        ends_soon = finding(await client.get("/readyz"), "certificate")
    assert ends_soon["state"] == "degraded"
    assert "ends at" in ends_soon["reason"]


async def test_a_renewal_that_cannot_be_used_is_told_and_the_old_certificate_stays(
    api: ApiProcess, authority: Authority, identity: Identity
) -> None:
    before = shown_serial(api, authority)
    key = identity.key.read_bytes()
    identity.key.write_bytes(authority.issue("other.test").key.read_bytes())
    async with browser(api, authority) as client:

        async def state() -> dict[str, str]:
            return finding(await client.get("/readyz"), "certificate")

        async with asyncio.timeout(RENEWED_WITHIN_SECONDS):
            while "cannot be used" not in (await state())["reason"]:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        assert shown_serial(api, authority) == before
        identity.key.write_bytes(key)
        async with asyncio.timeout(RENEWED_WITHIN_SECONDS):
            while "cannot be used" in ((await state())["reason"]):  # noqa: ASYNC110
                await asyncio.sleep(0.5)
    assert shown_serial(api, authority) == before


def _command(
    api: ApiProcess, tenant: TenantFixture, *arguments: str, **more: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from muniment.cli.main import run; run()", *arguments],
        cwd=REPOSITORY,
        env={"MUNIMENT_API__URL": api.url, "MUNIMENT_API__KEY": tenant.api_key, **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
