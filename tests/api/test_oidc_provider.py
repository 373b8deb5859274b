"""Access tokens of a provider that is certified, node-oidc-provider, where npm can fetch it."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.issuing import AUDIENCE, Issuer
from tests.api.test_oidc import environment_of
from tests.conftest import REPOSITORY, TenantFixture, free_port

PROVIDER = "oidc-provider@9.13.3"
SCRIPT = Path(__file__).parent / "oidc_provider.mjs"


@pytest.fixture(scope="module")
def provider_module() -> str:
    """Where Node finds the provider."""
    folder = REPOSITORY / ".cache" / "oidc-provider"
    npm, module = shutil.which("npm"), folder / "node_modules" / "oidc-provider"
    if not module.is_dir():
        if npm is None or shutil.which("node") is None:
            pytest.skip("node or npm is absent: oidc-provider is not tried")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", PROVIDER]
        fetched = subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
        if fetched.returncode:
            pytest.skip("npm cannot fetch oidc-provider")
    return str(module / "lib" / "index.js")


@contextmanager
def providing(module: str, port: int, algorithm: str, tenant: str) -> Iterator[httpx.Client]:
    """A client of the provider's process, whose keys are new."""
    wanted = {
        "module": module,
        "port": port,
        "audience": AUDIENCE,
        "algorithm": algorithm,
        "tenant": tenant,
    }
    process = subprocess.Popen(
        ["node", str(SCRIPT), json.dumps(wanted)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for _ in range(600):
                assert process.poll() is None, process.communicate()[1].decode()
                try:
                    client.get("/.well-known/openid-configuration")
                except httpx.TransportError:
                    time.sleep(0.1)
                else:
                    break
            yield client
    finally:
        process.kill()
        process.communicate()


def token_of(provider: httpx.Client) -> str:
    answer = provider.post(
        "/token",
        data={"grant_type": "client_credentials", "scope": "files:read search"},
        auth=("robot", "secret"),
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@pytest.fixture
def provider_port() -> int:
    return free_port()


@pytest.fixture
def api(
    api_environment: dict[str, str],
    provider_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiProcess]:
    issuer = Issuer(f"http://127.0.0.1:{provider_port}")
    own = {"MUNIMENT_OIDC__CREATE_PRINCIPALS": "true", "MUNIMENT_OIDC__SCOPES": "token"}
    api = start_api(
        tmp_path_factory.mktemp("provided"), {**api_environment, **environment_of(issuer), **own}
    )
    yield api
    assert stop_api(api) == 0


async def test_its_tokens_are_taken_and_its_new_keys_found(
    api: ApiProcess, provider_module: str, provider_port: int, tenant: TenantFixture
) -> None:
    with providing(provider_module, provider_port, "RS256", tenant.name) as provider:
        before = token_of(provider)
        async with client_of(api, before) as robot:
            me = (await robot.get("/v1/auth/me")).json()
            assert (me["name"], me["tenant"]) == ("robot", tenant.name)
            assert me["scopes"] == ["files:read", "search"]
            assert (await robot.get("/v1/files")).status_code == 200
    with providing(provider_module, provider_port, "ES256", tenant.name) as provider:
        async with client_of(api, token_of(provider)) as robot:
            assert (await robot.get("/v1/auth/me")).json()["id"] == me["id"]
        async with client_of(api, before) as robot:
            assert (await robot.get("/v1/files")).status_code == 401, "its key is withdrawn"


async def test_its_ed25519_tokens_are_taken(
    api: ApiProcess, provider_module: str, provider_port: int, tenant: TenantFixture
) -> None:
    with providing(provider_module, provider_port, "EdDSA", tenant.name) as provider:
        async with client_of(api, token_of(provider)) as robot:
            assert (await robot.get("/v1/files")).status_code == 200
