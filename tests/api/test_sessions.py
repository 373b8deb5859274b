"""Sessions of browsers: the cookie, and requests that other pages make with it."""

from collections.abc import AsyncIterator, Iterator

import httpx
import psycopg
import pytest

from api.application import create_application
from muniment.api_keys import USER_SCOPES
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.api.test_events import opened, take
from tests.api.test_jobs import ingest
from tests.api.test_sign_ins import PASSWORD, ada, door, no_attempts
from tests.conftest import TenantFixture

__all__ = ["ada", "door", "no_attempts"]

SESSION = "/v1/auth/session"


@pytest.fixture
async def browser(api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, and says of itself what browsers do of requests of the API's own pages."""
    headers = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(
        base_url=api.url, trust_env=False, timeout=60, headers=headers
    ) as browser:
        yield browser


async def sign_in(
    browser: httpx.AsyncClient,
    tenant: TenantFixture,
    headers: dict[str, str] | None = None,
    **fields: str,
) -> httpx.Response:
    body = {"username": "ada@example.org", "password": PASSWORD, "tenant": tenant.name, **fields}
    return await browser.post(SESSION, json=body, headers=headers)


def name_of(api: ApiProcess) -> str:
    """The cookie's, on this machine without TLS."""
    return f"muniment_session_{httpx.URL(api.url).port}"


def csrf(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code in (200, 201), answer.text
    return {"X-CSRF-Token": answer.json()["csrf_token"]}


async def test_a_browser_signs_in_works_and_signs_out(
    api: ApiProcess,
    browser: httpx.AsyncClient,
    tenant: TenantFixture,
    ada: dict[str, str],
    postgres_dsn: str,
) -> None:
    began = await sign_in(browser, tenant)
    assert began.status_code == 201, began.text
    assert began.json()["scope"].split() == sorted(USER_SCOPES)
    cookie = began.headers["Set-Cookie"]
    assert cookie.startswith(f"{name_of(api)}=munse_")
    for attribute in ("HttpOnly", "Path=/", "SameSite=strict", "Max-Age="):
        assert attribute in cookie
    assert "Domain" not in cookie
    assert cookie.partition("=")[2].partition(";")[0] not in began.text
    me = (await browser.get("/v1/auth/me")).json()
    assert (me["id"], me["came_with"]) == (ada["id"], "sign_in")
    file = await browser.post("/v1/files?name=a.txt", content=b"mine", headers=csrf(began))
    assert file.status_code == 202, file.text
    shown = await browser.get(SESSION)
    assert csrf(shown) == csrf(began), "a page that was loaded anew"
    ended = await browser.delete(SESSION, headers=csrf(shown))
    assert ended.status_code == 204, ended.text
    assert not browser.cookies
    value = cookie.partition("=")[2].partition(";")[0]
    kept = await browser.get("/v1/auth/me", headers={"Cookie": f"{name_of(api)}={value}"})
    assert kept.status_code == 401
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert {"sign_in.began", "sign_in.ended"} <= set(actions)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:x"},
    ],
)
async def test_pages_of_other_origins_change_nothing(
    api: ApiProcess, tenant: TenantFixture, ada: dict[str, str], headers: dict[str, str]
) -> None:
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as browser:
        began = await sign_in(browser, tenant)
        proof = csrf(began)
        for method, path in (
            ("POST", "/v1/collections"),
            ("PATCH", f"/v1/files/{ada['id']}"),
            ("DELETE", f"/v1/files/{ada['id']}"),
            ("DELETE", SESSION),
        ):
            refused = await browser.request(
                method, path, json={"name": "x"}, headers={**proof, **headers}
            )
            assert refused.status_code == 403, (method, path, refused.text)
        assert (await sign_in(browser, tenant, headers)).status_code == 403
        assert (await browser.get("/v1/files", headers=headers)).status_code == 200


async def test_what_changes_something_needs_the_sessions_own_token(
    browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    former = csrf(await sign_in(browser, tenant))
    began = await sign_in(browser, tenant)
    for wrong in ({}, former, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "é"}):
        encoded = {name: value.encode() for name, value in wrong.items()}
        refused = await browser.post("/v1/files?name=a.txt", content=b"mine", headers=encoded)
        assert refused.status_code == 403, refused.text
        assert "X-CSRF-Token" in refused.json()["detail"]
    overridden = await browser.post(
        f"/v1/uploads/{ada['id']}",
        headers={"X-HTTP-Method-Override": "DELETE", "Tus-Resumable": "1.0.0"},
    )
    assert overridden.status_code == 403
    sent = await browser.post("/v1/files?name=a.txt", content=b"mine", headers=csrf(began))
    assert sent.status_code == 202
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE ended_at IS NULL), count(*) FROM sign_in"
            " WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchone()
    assert row == (1, 2), "signing in anew ended the session before"


async def test_an_authorization_goes_before_the_cookie(
    browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    began = await sign_in(browser, tenant)
    key = {"Authorization": f"Bearer {tenant.api_key}"}
    assert (await browser.get("/v1/auth/me", headers=key)).json()["came_with"] == "api_key"
    assert (await browser.post("/v1/collections", json={"name": "c"}, headers=key)).is_success
    assert (await browser.get(SESSION, headers=key)).status_code == 404
    assert (await browser.delete(SESSION, headers=key)).status_code == 404
    for wrong in ("Bearer mun_wrong", "Basic eDp5", ""):
        refused = await browser.get("/v1/auth/me", headers={"Authorization": wrong, **csrf(began)})
        assert refused.status_code == 401


async def test_streams_take_the_cookie(
    browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    browser.headers.update(csrf(await sign_in(browser, tenant)))
    job = await ingest(browser)
    del browser.headers["X-CSRF-Token"]
    async with opened(browser, f"/v1/jobs/{job}/events") as events:
        assert (await take(events, 1))[0].event == "snapshot"


async def test_a_session_ends_with_its_person_and_password(
    api: ApiProcess,
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    tenant: TenantFixture,
    ada: dict[str, str],
) -> None:
    path = f"/v1/principals/{ada['id']}"
    for end in (
        lambda: client.patch(path, json={"disabled": True}),
        lambda: client.put(f"{path}/password", json={"password": PASSWORD}),
        lambda: client.delete(path),
    ):
        await client.patch(path, json={"disabled": False})
        await sign_in(browser, tenant)
        assert (await browser.get("/v1/auth/me")).status_code == 200
        assert (await end()).is_success
        assert (await browser.get("/v1/auth/me")).status_code == 401


async def test_a_session_that_is_used_goes_on_and_one_that_is_not_ends(
    browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str], postgres_dsn: str
) -> None:
    await sign_in(browser, tenant)
    left = "SELECT expires_at - now() FROM bearer_token WHERE tenant_id = %s"
    put_back = "UPDATE bearer_token SET expires_at = now() + %s::interval WHERE tenant_id = %s"

    def days_left() -> int:
        with psycopg.connect(postgres_dsn) as connection:
            row = connection.execute(left, (tenant.tenant_id,)).fetchone()
        assert row is not None
        return int(row[0].days)

    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(put_back, ("1 hour", tenant.tenant_id))
    assert (await browser.get("/v1/auth/me")).status_code == 200
    assert days_left() == 13
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE sign_in SET expires_at = now() + interval '2 days 1 hour' WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
        connection.execute(put_back, ("1 hour", tenant.tenant_id))
    assert (await browser.get("/v1/auth/me")).status_code == 200
    assert days_left() == 2, "the sign-in's end is the session's"
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(put_back, ("-1 second", tenant.tenant_id))
    assert (await browser.get("/v1/auth/me")).status_code == 401


async def test_wrong_passwords_are_counted_as_at_the_other_door(
    browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    for _ in range(5):
        assert (await sign_in(browser, tenant, password="wrong")).status_code == 401
    assert (await sign_in(browser, tenant)).status_code == 429
    assert not browser.cookies


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"{}", b'{"username": "a", "password": "b", "admin": true}', b"a=b"]
)
async def test_what_is_no_name_and_password_is_refused(
    browser: httpx.AsyncClient, content: bytes
) -> None:
    for media_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        answer = await browser.post(SESSION, content=content, headers={"Content-Type": media_type})
        assert answer.status_code in (400, 422), answer.text


async def test_other_secrets_are_no_cookies_and_cookies_no_bearer_tokens(
    api: ApiProcess, browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    await sign_in(browser, tenant)
    value = browser.cookies[name_of(api)]
    browser.cookies.clear()
    bearer = await browser.get("/v1/auth/me", headers={"Authorization": f"Bearer {value}"})
    assert bearer.status_code == 401
    for other in (tenant.api_key, "munse_x", "", f"{value[:-1]}!", value.replace("munse", "munat")):
        answer = await browser.get("/v1/auth/me", headers={"Cookie": f"{name_of(api)}={other}"})
        assert answer.status_code == 401, other


@pytest.fixture(scope="module")
def proxied_api(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """Behind a proxy on this machine that ends TLS."""
    trusting = {**api_environment, "MUNIMENT_API__TRUSTED_PROXIES": "127.0.0.1"}
    api = start_api(tmp_path_factory.mktemp("proxied"), trusting)
    yield api
    assert stop_api(api) == 0


async def test_over_https_the_cookie_is_the_hosts_own(
    proxied_api: ApiProcess, tenant: TenantFixture, client: httpx.AsyncClient, ada: dict[str, str]
) -> None:
    by_tls = {"X-Forwarded-Proto": "https", "Host": "documents.example.org"}
    async with httpx.AsyncClient(base_url=proxied_api.url, trust_env=False, timeout=60) as browser:
        began = await sign_in(browser, tenant, by_tls)
        cookie = began.headers["Set-Cookie"]
        assert cookie.startswith("__Host-muniment_session=munse_")
        assert "Secure" in cookie
        value = cookie.partition("=")[2].partition(";")[0]
        ours = {**by_tls, "Cookie": f"__Host-muniment_session={value}"}
        assert (await browser.get("/v1/auth/me", headers=ours)).status_code == 200
        planted = {**by_tls, "Cookie": f"{name_of(proxied_api)}={value}"}
        assert (await browser.get("/v1/auth/me", headers=planted)).status_code == 401
        own = {**ours, "Origin": "https://documents.example.org", **csrf(began)}
        assert (await browser.post("/v1/files?name=a", content=b"a", headers=own)).is_success


async def test_over_http_from_elsewhere_there_is_none(
    browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    elsewhere = {"Host": "documents.example.org", "Origin": "http://documents.example.org"}
    refused = await sign_in(browser, tenant, elsewhere)
    assert refused.status_code == 403
    assert "MUNIMENT_API__TRUSTED_PROXIES" in refused.json()["remedy"]
    by_tls = {"Host": "documents.example.org", "Origin": "https://documents.example.org"}
    taken = await sign_in(browser, tenant, by_tls)
    assert taken.headers["Set-Cookie"].startswith("__Host-"), "the browser itself says https"


async def test_what_is_no_origin_is_that_of_another_whatever_stands_beside_it(
    browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    assert (await sign_in(browser, tenant, {"Origin": "http://["})).status_code == 403
    assert (await sign_in(browser, tenant, {"Host": "["})).status_code in (400, 403)


async def test_a_plain_cookie_of_a_page_of_another_machine_may_be_planted(
    browser: httpx.AsyncClient, tenant: TenantFixture, ada: dict[str, str]
) -> None:
    began = await sign_in(browser, tenant)
    proxied = {"Origin": "https://documents.example.org", **csrf(began)}
    refused = await browser.post("/v1/files?name=a", content=b"a", headers=proxied)
    assert refused.status_code == 403, refused.text


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-Proto": "http"},
        {"Forwarded": "for=203.0.113.7"},
        {"Host": "documents.example.org"},
        {"Host": "localhost:1"},
    ],
)
async def test_a_plain_cookie_counts_on_this_machine_and_its_port_alone(
    browser: httpx.AsyncClient,
    tenant: TenantFixture,
    ada: dict[str, str],
    headers: dict[str, str],
) -> None:
    await sign_in(browser, tenant)
    assert (await browser.get("/v1/auth/me")).status_code == 200
    assert (await browser.get("/v1/auth/me", headers=headers)).status_code == 401


async def test_a_person_of_another_tenant_sees_nothing_of_ours(
    api: ApiProcess,
    browser: httpx.AsyncClient,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    ada: dict[str, str],
) -> None:
    browser.headers.update(csrf(await sign_in(browser, tenant)))
    async with client_of(api, other_tenant.api_key) as stranger:
        file = (await stranger.post("/v1/files?name=a.txt", content=b"theirs")).json()
    assert (await browser.get(f"/v1/files/{file['id']}")).status_code == 404
    assert (await sign_in(browser, other_tenant)).status_code == 401


def test_the_description_tells_of_the_cookie_and_its_proof() -> None:
    described = create_application().openapi()
    schemes = described["components"]["securitySchemes"]
    assert schemes["Session"]["in"] == "cookie"
    path = described["paths"]["/v1/collections"]
    for method, needs_proof in (("get", False), ("post", True)):
        assert {"Session": []} in path[method]["security"]
        assert {"API key": []} in path[method]["security"]
        headers = {each["name"] for each in path[method].get("parameters", [])}
        assert ("X-CSRF-Token" in headers) is needs_proof
    session = described["paths"][SESSION]
    assert "Set-Cookie" in session["post"]["responses"]["201"]["headers"]
    assert "parameters" not in session["post"]
