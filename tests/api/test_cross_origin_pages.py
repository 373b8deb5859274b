"""Pages of other origins in a real browser: what their scripts get to read, what they change, and where the
cookie of a session goes along."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.async_api import BrowserContext, Page

from tests.api.browser import (
    OTHER_SITE,
    SITE,
    call,
    chromium,
    first_data,
    serving_pages,
    stream,
)
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.test_sign_ins import PASSWORD, ada, no_attempts
from tests.api.tus import PIECE, VERSION, metadata
from tests.conftest import TenantFixture

__all__ = ["ada", "no_attempts"]


@dataclass(frozen=True)
class Places:
    """The API at one site, pages at the same site and at another one; named and unnamed origins."""

    api: ApiProcess
    named_port: int
    unnamed_port: int

    @property
    def door(self) -> str:
        return f"{SITE}:{httpx.URL(self.api.url).port}"

    @property
    def named_neighbour(self) -> str:
        return f"{SITE}:{self.named_port}"

    @property
    def named_elsewhere(self) -> str:
        return f"{OTHER_SITE}:{self.named_port}"

    @property
    def neighbour(self) -> str:
        return f"{SITE}:{self.unnamed_port}"

    @property
    def elsewhere(self) -> str:
        return f"{OTHER_SITE}:{self.unnamed_port}"


@pytest.fixture(scope="module")
def places(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Places]:
    with serving_pages() as named, serving_pages() as unnamed:
        origins = f"{SITE}:{named},{OTHER_SITE}:{named}"
        environment = {**api_environment, "MUNIMENT_API__ALLOWED_ORIGINS": origins}
        api = start_api(tmp_path_factory.mktemp("pages"), environment)
        yield Places(api, named, unnamed)
        assert stop_api(api) == 0


@pytest.fixture
async def browser() -> AsyncIterator[BrowserContext]:
    async with chromium() as context:
        yield context


@pytest.fixture
async def ours(places: Places, tenant: TenantFixture) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the API without a browser."""
    async with client_of(places.api, tenant.api_key) as client:
        yield client


async def page_of(browser: BrowserContext, origin: str) -> Page:
    page = await browser.new_page()
    await page.goto(f"{origin}/healthz")
    return page


async def job_of_an_upload(ours: httpx.AsyncClient) -> str:
    answer = await ours.post("/v1/files?name=watched.txt", content=b"watched")
    return str(answer.raise_for_status().json()["job"]["id"])


async def names(ours: httpx.AsyncClient) -> set[str]:
    """Of all that a page could have made."""
    files = (await ours.get("/v1/files")).json()["data"]
    collections = (await ours.get("/v1/collections")).json()["data"]
    return {each["name"] for each in (*files, *collections)}


async def test_a_page_of_a_named_origin_reads_uploads_and_follows(
    places: Places, browser: BrowserContext, ours: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    page = await page_of(browser, places.named_elsewhere)
    key = {"Authorization": f"Bearer {tenant.api_key}"}
    listed = await call(page, f"{places.door}/v1/files", headers=key)
    assert listed.status == 200
    assert {"x-request-id", "ratelimit"} <= set(listed.headers)
    opening = {
        **key,
        **VERSION,
        "Upload-Length": "5",
        "Upload-Metadata": metadata(filename="from.txt"),
    }
    opened = await call(page, f"{places.door}/v1/uploads", method="POST", headers=opening)
    upload = httpx.URL(f"{places.door}/v1/uploads").join(opened.headers["location"])
    sent = {**key, **PIECE, "Upload-Offset": "0"}
    last = await call(page, str(upload), method="PATCH", headers=sent, body="words")
    assert (last.status, last.headers["upload-offset"]) == (204, "5")
    made = (await ours.get(f"/v1/files/{last.headers['muniment-file']}")).json()
    assert made["name"] == "from.txt"
    events = f"{places.door}/v1/jobs/{made['job']['id']}/events"
    assert "event: snapshot" in await first_data(page, events, headers=key)
    tickets = f"{places.door}/v1/auth/stream-ticket"
    ticket = (await call(page, tickets, method="POST", headers=key)).text.split('"')[3]
    assert made["job"]["id"] in (await stream(page, f"{events}?ticket={ticket}")).snapshot
    refused = await call(page, f"{places.door}/v1/files", headers={"Authorization": "Bearer x"})
    assert refused.status == 401, "a page reads why it is refused"


@pytest.mark.parametrize("origin", ["neighbour", "elsewhere"])
async def test_a_page_of_another_origin_reads_nothing_even_with_a_key(
    places: Places,
    browser: BrowserContext,
    ours: httpx.AsyncClient,
    tenant: TenantFixture,
    origin: str,
) -> None:
    page = await page_of(browser, getattr(places, origin))
    key = {"Authorization": f"Bearer {tenant.api_key}"}
    for path in ("/v1/files", "/v1/auth/me", "/healthz", "/openapi.json"):
        for options in ({}, {"headers": key}, {"credentials": "include"}):
            assert (await call(page, f"{places.door}{path}", **options)).status == 0, path
    posted = await call(
        page, f"{places.door}/v1/files?name=planted.txt", method="POST", headers=key, body="x"
    )
    assert posted.status == 0
    events = f"{places.door}/v1/jobs/{await job_of_an_upload(ours)}/events"
    ticket = (await ours.post("/v1/auth/stream-ticket")).json()["ticket"]
    assert not (await stream(page, f"{events}?ticket={ticket}")).is_open
    assert "planted.txt" not in await names(ours)


@pytest.mark.parametrize("origin", ["named_neighbour", "neighbour", "elsewhere"])
async def test_nothing_is_taken_into_a_page_of_another_origin_unread(
    places: Places, browser: BrowserContext, origin: str
) -> None:
    """As pictures, scripts and media are, which a page may fetch of any origin but not look into."""
    taken = (
        "url => fetch(url, {mode: 'no-cors', credentials: 'include'}).then(() => true, () => false)"
    )
    own, page = (
        await page_of(browser, places.door),
        await page_of(browser, getattr(places, origin)),
    )
    for path in ("/v1/files", "/healthz", "/openapi.json", "/s/none"):
        assert await own.evaluate(taken, f"{places.door}{path}"), path
        assert not await page.evaluate(taken, f"{places.door}{path}"), path


async def sign_in(browser: BrowserContext, places: Places, tenant: TenantFixture) -> Page:
    """On a page of the API's own origin."""
    page = await page_of(browser, places.door)
    began = await call(
        page,
        f"{places.door}/v1/auth/session",
        method="POST",
        headers={"Content-Type": "application/json"},
        body=f'{{"username": "ada@example.org", "password": "{PASSWORD}", "tenant": "{tenant.name}"}}',
    )
    assert began.status == 201, began.text
    assert (await call(page, f"{places.door}/v1/auth/me")).status == 200
    assert await page.evaluate("document.cookie") == "", "no script reads it"
    return page


async def test_the_cookie_goes_along_from_the_same_site_alone_and_changes_nothing(
    places: Places,
    browser: BrowserContext,
    ours: httpx.AsyncClient,
    tenant: TenantFixture,
    ada: dict[str, str],
) -> None:
    await sign_in(browser, places, tenant)
    with_cookie = {"credentials": "include"}
    me, collections = f"{places.door}/v1/auth/me", f"{places.door}/v1/collections"
    as_json = {"Content-Type": "application/json"}
    events = f"{places.door}/v1/events"

    neighbour = await page_of(browser, places.named_neighbour)
    assert ada["id"] in (await call(neighbour, me, **with_cookie)).text
    assert (await call(neighbour, me)).status == 401, "it is not sent unasked"
    followed = await stream(neighbour, events, with_credentials=True, seconds=2)
    assert followed.is_open
    assert not (await stream(neighbour, events)).is_open
    # The token without which nothing is changed.
    assert (await call(neighbour, f"{places.door}/v1/auth/session", **with_cookie)).status == 0
    body = '{"name": "planted"}'
    planted = await call(
        neighbour, collections, method="POST", headers=as_json, body=body, **with_cookie
    )
    assert planted.status == 403

    elsewhere = await page_of(browser, places.named_elsewhere)
    assert (await call(elsewhere, me, **with_cookie)).status == 401
    assert not (await stream(elsewhere, events, with_credentials=True)).is_open
    planted = await call(
        elsewhere, collections, method="POST", headers=as_json, body=body, **with_cookie
    )
    assert planted.status == 401
    assert "planted" not in await names(ours)


@pytest.mark.parametrize("origin", ["neighbour", "elsewhere"])
async def test_an_unnamed_page_does_nothing_with_the_cookie(
    places: Places,
    browser: BrowserContext,
    ours: httpx.AsyncClient,
    tenant: TenantFixture,
    ada: dict[str, str],
    origin: str,
) -> None:
    """What browsers send without asking first (a plain POST, a form, a link) is refused."""
    await sign_in(browser, places, tenant)
    page = await page_of(browser, getattr(places, origin))
    planting = f"{places.door}/v1/files?name=planted.txt"
    for mode in ("cors", "no-cors"):
        for path in (planting, f"{places.door}/v1/auth/session"):
            posted = await call(
                page, path, method="POST", body="x", credentials="include", mode=mode
            )
            assert posted.status == 0
    events = f"{places.door}/v1/events"
    assert not (await stream(page, events, with_credentials=True)).is_open
    await page.set_content(
        f'<form method="post" enctype="multipart/form-data" action="{planting}">'
        '<input name="file" value="x"></form>'
    )
    async with page.expect_response(planting) as answered:
        await page.evaluate("document.forms[0].submit()")
    assert (await answered.value).status in (401, 403)
    assert "planted.txt" not in await names(ours)
    cookies = [cookie.get("name") for cookie in await browser.cookies()]
    assert cookies == [f"muniment_session_{httpx.URL(places.api.url).port}"], "signed in still"
