"""Pages of other origins: those that are named may call the API from a browser, and no others."""

from collections.abc import Iterator

import httpx
import pytest
from pydantic import ValidationError

from api.cross_origin import ANSWER_HEADERS, REQUEST_HEADERS
from muniment.settings import ApiSettings
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.tus import create
from tests.conftest import TenantFixture

NAMED = "https://desk.example.org"
OTHER = "https://evil.example.org"
CORS = "access-control-"


@pytest.fixture(scope="module")
def named_api(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """An API that one origin may call."""
    named = {"MUNIMENT_API__ALLOWED_ORIGINS": f"http://localhost:5173, {NAMED}"}
    api = start_api(tmp_path_factory.mktemp("named"), {**api_environment, **named})
    yield api
    assert stop_api(api) == 0


def preflight(origin: str, method: str, *headers: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(headers),
    }


def listed(answer: httpx.Response, name: str) -> set[str]:
    return {each.strip().lower() for each in answer.headers[name].split(",")}


def told_of_origins(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.lower().startswith(CORS)]


async def test_a_named_origin_uploads_and_reads(
    named_api: ApiProcess, tenant: TenantFixture
) -> None:
    async with httpx.AsyncClient(base_url=named_api.url, trust_env=False, timeout=60) as browser:
        for path, method in (
            ("/v1/uploads", "POST"),
            ("/v1/uploads/1", "PATCH"),
            ("/v1/files", "GET"),
        ):
            headers = preflight(NAMED, method, *REQUEST_HEADERS)
            answer = await browser.options(path, headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.headers["Access-Control-Allow-Origin"] == NAMED
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert method.lower() in listed(answer, "Access-Control-Allow-Methods")
            allowed = listed(answer, "Access-Control-Allow-Headers")
            assert {each.lower() for each in REQUEST_HEADERS} <= allowed
            assert "Origin" in answer.headers["Vary"]
            assert "X-Request-Id" in answer.headers
        unknown = preflight(NAMED, "GET", "X-Something-Else")
        assert (await browser.options("/v1/files", headers=unknown)).status_code == 400
    async with client_of(named_api, tenant.api_key) as page:
        created = await create(page, 3, {"Origin": NAMED})
        assert created.status_code == 201, created.text
        assert created.headers["Access-Control-Allow-Origin"] == NAMED
        exposed = listed(created, "Access-Control-Expose-Headers")
        assert exposed == {each.lower() for each in ANSWER_HEADERS}
        refused = await page.get("/v1/files/none", headers={"Origin": NAMED})
        assert refused.status_code == 422
        assert refused.headers["Access-Control-Allow-Origin"] == NAMED
        strange = await page.get(
            "/v1/files", headers={"Origin": NAMED, "Authorization": "Bearer x"}
        )
        assert strange.status_code == 401
        assert strange.headers["Access-Control-Allow-Origin"] == NAMED


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "*", f"{NAMED}.evil.test", "http://desk.example.org", f"{NAMED}:8443"]
)
async def test_another_origin_is_told_nothing(
    named_api: ApiProcess, tenant: TenantFixture, origin: str
) -> None:
    async with client_of(named_api, tenant.api_key) as page:
        for answer in (
            await page.options("/v1/files", headers=preflight(origin, "GET", "authorization")),
            await page.options("/v1/uploads", headers=preflight(origin, "POST", "upload-length")),
            await page.get("/v1/files", headers={"Origin": origin}),
        ):
            assert told_of_origins(answer) == []


async def test_a_named_origin_is_let_in_nowhere_else(named_api: ApiProcess) -> None:
    async with httpx.AsyncClient(base_url=named_api.url, trust_env=False, timeout=60) as browser:
        for path in ("/healthz", "/s/none", "/openapi.json", "/v1/auth/session"):
            assert told_of_origins(await browser.get(path, headers={"Origin": NAMED})) == []
        codec = "/v1/temporal/codec/decode"
        answer = await browser.options(codec, headers=preflight(NAMED, "POST", "authorization"))
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_named_origin_does_not_sign_anybody_in_for_a_cookie(named_api: ApiProcess) -> None:
    async with httpx.AsyncClient(base_url=named_api.url, trust_env=False, timeout=60) as browser:
        answer = await browser.post(
            "/v1/auth/session",
            json={"tenant": "t", "username": "n", "password": "p"},
            headers={"Origin": NAMED, "Sec-Fetch-Site": "same-site"},
        )
    assert answer.status_code == 403, answer.text


async def test_without_the_setting_nobody_is_let_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/files", headers={"Origin": NAMED})
    assert told_of_origins(answer) == []


@pytest.mark.parametrize(
    "origins",
    ["*", "null", "desk.example.org", f"{NAMED}/", f"{NAMED}/desk", "https://Desk.example.org",
     "https://desk.example.org:443", "https://*.example.org", "https://a.test:x", f"{NAMED},*", "ftp://a.test"],
)  # fmt: skip
def test_what_no_browser_sends_is_refused(origins: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(allowed_origins=origins)
