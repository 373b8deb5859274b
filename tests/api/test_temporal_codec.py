"""The remote codec for Temporal's Web UI and command line."""

import base64
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from db.bootstrap import bootstrap
from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant

UI = "http://temporal.test:8233"
CODEC = "/v1/temporal/codec"


def plain(**content: object) -> dict[str, object]:
    """A payload as Temporal's tools send it before it is encrypted."""
    return {
        "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
        "data": base64.b64encode(json.dumps(content).encode()).decode(),
    }


@pytest.fixture
async def operator(api: ApiProcess, postgres_dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator of a tenant that operates."""
    made = make_tenant(postgres_dsn)
    bootstrap(postgres_dsn, tenant=made.name, is_operator=True)
    async with client_of(api, made.api_key) as client:
        yield client


async def encoded(client: httpx.AsyncClient, *payloads: dict[str, object]) -> dict[str, object]:
    answer = await client.post(f"{CODEC}/encode", json={"payloads": payloads})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_what_is_encoded_is_unreadable_and_decodes_to_itself(
    operator: httpx.AsyncClient,
) -> None:
    payload = plain(job_id="1")
    sealed = await encoded(operator, payload)
    assert "job_id" not in base64.b64decode(sealed["payloads"][0]["data"]).decode("latin-1")  # type: ignore[index] # JSON
    decoded = await operator.post(f"{CODEC}/decode", json=sealed)
    assert decoded.json() == {"payloads": [payload]}
    assert (await operator.post(f"{CODEC}/decode", json=[1])).status_code == 400


async def test_a_tenant_reads_what_names_it_and_no_other(
    client: httpx.AsyncClient,
    operator: httpx.AsyncClient,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
) -> None:
    mine, theirs = str(tenant.tenant_id), str(other_tenant.tenant_id)
    payloads = [
        plain(tenant_id=mine),
        plain(version={"tenant_id": mine, "file_id": "1"}, window=4),
        plain(tenant_id=theirs),
        plain(version={"tenant_id": theirs}, tenant_id=mine),
        plain(job_id="1"),
    ]
    sealed = await encoded(operator, *payloads)
    decoded = await client.post(f"{CODEC}/decode", json=sealed)
    assert decoded.status_code == 200, decoded.text
    assert decoded.json()["payloads"] == [*payloads[:2], *sealed["payloads"][2:]]  # type: ignore[index] # JSON
    decoded = await operator.post(f"{CODEC}/decode", json=sealed)
    assert decoded.json()["payloads"] == payloads


async def test_who_is_no_administrator_of_the_tenant_that_operates_is_no_operator(
    api: ApiProcess, operator: httpx.AsyncClient, postgres_dsn: str
) -> None:
    operating = make_tenant(postgres_dsn)
    bootstrap(postgres_dsn, tenant=operating.name, is_operator=True)
    clerk = make_tenant(postgres_dsn, operating.name, principal="clerk", is_admin=False)
    sealed = await encoded(operator, plain(job_id="1"))
    async with client_of(api, clerk.api_key) as client:
        assert (await client.post(f"{CODEC}/decode", json=sealed)).json() == sealed


async def test_nobody_but_operators_seals_what_says_of_itself_whose_it_is(
    client: httpx.AsyncClient, other_tenant: TenantFixture
) -> None:
    forged = {"payloads": [plain(tenant_id=str(other_tenant.tenant_id))]}
    answer = await client.post(f"{CODEC}/encode", json=forged)
    assert answer.status_code == 403, answer.text
    assert "administrator of the tenant that operates" in answer.json()["detail"]


async def test_what_is_sealed_is_audited(operator: httpx.AsyncClient) -> None:
    await encoded(operator, plain(job_id="1"))
    page = (await operator.get("/v1/audit?action=payloads.encoded")).json()
    assert [event["payload"] for event in page["data"]] == [{"count": 1}]


async def test_a_little_that_inflates_to_a_lot_is_refused(
    client: httpx.AsyncClient, operator: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    mine = str(tenant.tenant_id)
    large = plain(tenant_id=mine, padding="a" * 700_000)
    [sealed] = (await encoded(operator, large))["payloads"]  # type: ignore[misc] # JSON
    for caller in (client, operator):
        for count, status in ((10, 200), (100, 413)):
            answer = await caller.post(f"{CODEC}/decode", json={"payloads": [sealed] * count})
            assert answer.status_code == status, answer.text[:200]
    many = {"payloads": [{}] * 1_001}
    for path in ("decode", "encode"):
        assert (await operator.post(f"{CODEC}/{path}", json=many)).status_code == 413


async def test_only_the_web_ui_may_ask_from_a_browser(api: ApiProcess) -> None:
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-namespace",
    }
    path = "/v1/temporal/codec/decode"
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as browser:
        allowed = await browser.options(path, headers={**preflight, "Origin": UI})
        assert allowed.headers["Access-Control-Allow-Origin"] == UI
        other = await browser.options(path, headers={**preflight, "Origin": "http://evil.test"})
        assert "Access-Control-Allow-Origin" not in other.headers
        elsewhere = await browser.get("/healthz", headers={"Origin": UI})
        assert "Access-Control-Allow-Origin" not in elsewhere.headers
