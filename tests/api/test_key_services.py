"""The API over a key management elsewhere: content comes and goes, and while it is away that is said."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.conformance.key_services import (
    VAULT_TOKEN,
    KeyServer,
    serving_aws_kms,
    serving_vault,
)
from tests.conftest import TenantFixture


@pytest.fixture(params=["vault", "aws"])
def served(
    request: pytest.FixtureRequest, api_environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[ApiProcess, KeyServer]]:
    """An API process and the key service that it uses."""
    serving = serving_vault if request.param == "vault" else serving_aws_kms
    with serving(tmp_path) as server:
        token_file = tmp_path / "token"
        token_file.write_text(f"{VAULT_TOKEN}\n")
        settings = {
            "vault": {"MUNIMENT_KEYS__TOKEN_FILE": str(token_file)},
            "aws": {
                "MUNIMENT_KEYS__REGION": "eu-west-2",
                "MUNIMENT_KEYS__ACCESS_KEY": "an-access-key",
                "MUNIMENT_KEYS__SECRET_KEY": "a-secret-key-of-these-tests",
            },
        }
        environment = {
            **api_environment,
            **settings[request.param],
            "MUNIMENT_KEYS__PROVIDER": request.param,
            "MUNIMENT_KEYS__ADDRESS": server.url,
            "MUNIMENT_KEYS__TIMEOUT_SECONDS": "0.8",
            "MUNIMENT_TELEMETRY__LEVEL": "debug",
        }
        api = start_api(tmp_path / "home", environment)
        yield api, server
        assert stop_api(api) == 0
    log = (api.home / "api.jsonl").read_text()
    assert VAULT_TOKEN not in log
    assert "a-secret-key-of-these-tests" not in log
    assert "plaintext" not in log.lower(), "what the services answer with"


async def keys_of(client: httpx.AsyncClient) -> tuple[int, dict[str, object]]:
    """The status of `/readyz`, and what it says of the keys."""
    answer = await client.get("/readyz")
    found = {each["name"]: each for each in answer.json()["dependencies"]}
    return answer.status_code, found["keys"]


async def test_content_comes_and_goes_and_an_outage_is_told(
    served: tuple[ApiProcess, KeyServer], tenant: TenantFixture
) -> None:
    api, server = served
    async with client_of(api, tenant.api_key) as client:
        status, keys = await keys_of(client)
        assert (status, keys["state"]) == (200, "ok")
        file = (await client.post("/v1/files?name=a.txt", content=b"sealed")).json()
        assert (await client.get(f"/v1/files/{file['id']}/content")).content == b"sealed"
        same = await client.post("/v1/files?name=a.txt", content=b"sealed")
        assert (same.status_code, same.json()["deduplicated"]) == (200, True)
        with server.hanging():
            refused = await client.post("/v1/files?name=b.txt", content=b"more")
            assert refused.status_code == 503, refused.text
            assert refused.json()["type"] == "urn:muniment:problem:key-management-unavailable"
            assert refused.json()["remedy"]
            status, keys = await keys_of(client)
            assert (status, keys["state"], keys["required"]) == (503, "down", True)
            assert keys["remedy"]
            remembered = await client.get(f"/v1/files/{file['id']}/content")
            assert remembered.content == b"sealed", "for five minutes"
        again = await client.post("/v1/files?name=b.txt", content=b"more")
        assert again.status_code == 202, again.text
    folder = api.home / "keys"
    assert not (folder / "tenants.json").exists()
    assert [path.name for path in (folder / "tenants").glob("*/*.json")] == [
        f"{tenant.tenant_id}.json"
    ]
    assert len(list((folder / "wrapped" / str(tenant.tenant_id)).rglob("*-*"))) == 2
