"""Where visitors come from: what is believed of it, and what no log keeps of their links."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpx
import pytest
from starlette.types import Scope

from api.client_address import Proxies, site_of
from muniment.errors import ConfigurationError, InvalidRequest
from muniment.settings import load_settings
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.sharing import CONTENT, change, clean_file, scanned, share, visitor
from tests.conftest import TenantFixture

OFFICE = "192.0.2.0/24"
WRONG = "incorrect horse"
PROXIES = Proxies((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


def scope(peer: str | None, *forwarded: str, proto: str | None = None) -> Scope:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    if proto is not None:
        headers.append((b"x-forwarded-proto", proto.encode()))
    client = None if peer is None else (peer, 1)
    return {"type": "http", "scheme": "http", "client": client, "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", ["192.0.2.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.1", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["garbage, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("fd00::1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        (None, ["192.0.2.1"], "0.0.0.0"),  # noqa: S104 - of no network
    ],
)
def test_only_what_our_own_proxies_say_is_believed(
    peer: str | None, forwarded: list[str], address: str
) -> None:
    assert PROXIES.client_address(scope(peer, *forwarded)) == ip_address(address)


def test_a_proxy_of_ours_that_names_no_address_is_not_guessed_at() -> None:
    with pytest.raises(InvalidRequest):
        PROXIES.client_address(scope("10.0.0.1", "198.51.100.1, unknown"))


def test_https_is_believed_of_our_own_proxies_alone() -> None:
    assert PROXIES.is_encrypted(scope("10.0.0.1", proto="https"))
    assert PROXIES.is_encrypted(scope("10.0.0.1", proto="http, https"))
    assert not PROXIES.is_encrypted(scope("10.0.0.1", proto="https, http"))
    assert not PROXIES.is_encrypted(scope("10.0.0.1"))
    assert not PROXIES.is_encrypted(scope("198.51.100.1", proto="https"))


def test_of_version_six_a_site_is_one_client() -> None:
    same = {site_of(ip_address(each)) for each in ("2001:db8::1", "2001:db8::ffff:1")}
    assert len(same) == 1
    assert site_of(ip_address("2001:db8:0:1::1")) not in same
    assert site_of(ip_address("192.0.2.1")) != site_of(ip_address("192.0.2.2"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MUNIMENT_API__TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
        ("MUNIMENT_API__TRUSTED_PROXIES", "10.0.0.1/8"),
        ("MUNIMENT_SHARING__PUBLIC_URL", "documents.example.org"),
        ("MUNIMENT_SHARING__PUBLIC_URL", "https://example.org/?a=b"),
        ("MUNIMENT_SHARING__DEFAULT_DAYS", "400"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError):
        load_settings({name: value})


async def test_without_proxies_nobody_names_their_own_address(
    api: ApiProcess, client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = await clean_file(client, postgres_dsn)
    office = await share(client, file_id, networks=[OFFICE])
    here = await share(client, file_id, networks=["127.0.0.0/8", OFFICE])
    for headers in ({}, {"X-Forwarded-For": "192.0.2.9"}, {"Forwarded": "for=192.0.2.9"}):
        async with visitor(api, **headers) as anybody:
            for path in (office.path, office.content):
                answer = await anybody.get(path)
                assert answer.status_code == 403
                assert "report" not in answer.text
            assert (await anybody.get(here.content)).content == CONTENT


# ── behind a proxy ──────────────────────────────────────────────────────────────────────────────


@dataclass
class Collector:
    """Keeps what traces are sent to it."""

    url: str
    received: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not to the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def proxied_environment(api_environment: dict[str, str]) -> dict[str, str]:
    return {
        **api_environment,
        "MUNIMENT_API__TRUSTED_PROXIES": "127.0.0.1/32",
        "MUNIMENT_SHARING__PUBLIC_URL": "https://documents.test/muniment/",
        "MUNIMENT_SHARING__PASSWORD_TRIES_OF_ALL": "8",
        "MUNIMENT_SHARING__REQUIRE_CLEAN": "false",
        "MUNIMENT_SHARING__MAX_CONCURRENT_DOWNLOADS": "1",
    }


@pytest.fixture(scope="module")
def proxied(
    proxied_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiProcess]:
    """An API that takes whoever connects for a proxy of its own."""
    api = start_api(tmp_path_factory.mktemp("proxied"), proxied_environment)
    yield api
    assert stop_api(api) == 0


@pytest.fixture
def traced(
    proxied_environment: dict[str, str],
    tmp_path: Path,
    collector: Collector,
) -> Iterator[ApiProcess]:
    """Likewise, for one test, which stops it."""
    traces = {"MUNIMENT_TELEMETRY__OTLP_ENDPOINT": collector.url}
    api = start_api(tmp_path, {**proxied_environment, **traces})
    yield api
    stop_api(api)


@pytest.fixture
async def maker(proxied: ApiProcess, tenant: TenantFixture) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(proxied, tenant.api_key) as client:
        yield client


async def test_networks_are_those_of_the_nearest_stranger(
    proxied: ApiProcess, maker: httpx.AsyncClient, postgres_dsn: str
) -> None:
    link = await share(maker, await clean_file(maker, postgres_dsn), networks=[OFFICE])
    within, spoofed = "192.0.2.9", "192.0.2.9, 198.51.100.1"
    for forwarded, status in ((within, 200), (spoofed, 403), ("::ffff:192.0.2.9", 200)):
        async with visitor(proxied, **{"X-Forwarded-For": forwarded}) as anybody:
            assert (await anybody.get(link.content)).status_code == status
    await maker.patch(f"/v1/shares/{link.id}", json={"networks": ["2001:db8::/32"]})
    async with visitor(proxied, **{"X-Forwarded-For": within}) as anybody:
        assert (await anybody.get(link.content)).status_code == 403


async def test_a_link_is_the_public_address_and_its_cookie_holds_there(
    proxied: ApiProcess, maker: httpx.AsyncClient, postgres_dsn: str
) -> None:
    link = await share(maker, await clean_file(maker, postgres_dsn))
    assert link.url == f"https://documents.test/muniment/s/{link.token}"
    async with visitor(proxied) as anybody:
        cookie = (await anybody.get(link.path)).headers["Set-Cookie"]
    assert f"Path=/muniment{link.path};" in cookie
    assert "Secure" in cookie


async def test_guesses_are_counted_by_address_and_by_link(
    proxied: ApiProcess, maker: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = await clean_file(maker, postgres_dsn)
    link = await share(maker, file_id, password="correct horse battery")
    other = await share(maker, file_id, password="correct horse battery")

    async def guess(address: str, path: str = link.path) -> int:
        async with visitor(proxied, **{"X-Forwarded-For": address}) as anybody:
            return (await anybody.post(path, data={"password": WRONG})).status_code

    assert [await guess(f"2001:db8::{each}") for each in range(6)] == [403] * 5 + [429]
    assert await guess("2001:db8::1", other.path) == 403, "of that link, not of others"
    assert [await guess("198.51.100.1") for _ in range(4)] == [403] * 3 + [429], "eight of all"
    assert await guess("198.51.100.2") == 429


async def test_where_the_operator_allows_it_what_nobody_scanned_is_served(
    proxied: ApiProcess, maker: httpx.AsyncClient, postgres_dsn: str
) -> None:
    file_id = await clean_file(maker, postgres_dsn)
    scanned(postgres_dsn, file_id, "unscanned")
    link = await share(maker, file_id)
    async with visitor(proxied) as anybody:
        assert (await anybody.get(link.content)).status_code == 200
        for state in (None, "infected", "unscannable"):
            scanned(postgres_dsn, file_id, state)
            assert (await anybody.get(link.content)).status_code == 404
        published = "UPDATE file_version SET published_at = now() WHERE file_id = %s"
        change(postgres_dsn, published, file_id)
        assert (await anybody.get(link.content)).status_code == 200, "a person released it"


@pytest.fixture
def fair(proxied_environment: dict[str, str], tmp_path: Path) -> Iterator[ApiProcess]:
    """Two places, of which nobody has both."""
    places = {
        "MUNIMENT_SHARING__MAX_CONCURRENT_DOWNLOADS": "2",
        "MUNIMENT_SHARING__MAX_CONCURRENT_DOWNLOADS_PER_ADDRESS": "1",
    }
    api = start_api(tmp_path, {**proxied_environment, **places})
    yield api
    assert stop_api(api) == 0


async def test_nobody_has_all_places_for_downloads(
    fair: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    async with client_of(fair, tenant.api_key) as maker:
        link = await share(
            maker, await clean_file(maker, postgres_dsn, "large.bin", bytes(64 * 1024 * 1024))
        )
    first_of_site, second_of_site, elsewhere = "2001:db8::1", "2001:db8::2", "198.51.100.1"
    async with (
        visitor(fair, **{"X-Forwarded-For": first_of_site}) as greedy,
        visitor(fair, **{"X-Forwarded-For": second_of_site}) as same_site,
        visitor(fair, **{"X-Forwarded-For": elsewhere}) as other,
        greedy.stream("GET", link.content) as reading,
    ):
        pieces = reading.aiter_raw()
        await anext(pieces)
        refused = await same_site.get(link.content)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        answer = await other.get(link.content, headers={"Range": "bytes=0-9"})
        assert answer.status_code == 206


async def test_downloads_have_a_bounded_number_of_places(
    proxied: ApiProcess, maker: httpx.AsyncClient, postgres_dsn: str
) -> None:
    large = await clean_file(maker, postgres_dsn, "large.bin", bytes(64 * 1024 * 1024))
    link = await share(maker, large, max_downloads=2)
    async with visitor(proxied) as first, visitor(proxied) as second:
        async with first.stream("GET", link.content) as reading:
            pieces = reading.aiter_raw()
            await anext(pieces)
            assert (await second.head(link.content)).status_code == 429
            refused = await second.get(link.content)
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) > 0
            assert refused.headers["Content-Type"].startswith("text/html")
        # Whoever left has given the place back, as soon as the server has noticed.
        for _ in range(200):
            answer = await second.get(link.content, headers={"Range": "bytes=0-9"})
            if answer.status_code != 429:
                break
            await asyncio.sleep(0.05)
        assert answer.status_code == 206, "and being refused counted as nothing"


async def test_no_log_and_no_trace_holds_a_token(
    traced: ApiProcess,
    collector: Collector,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    password = "correct horse battery"
    async with client_of(traced, tenant.api_key) as maker:
        link = await share(maker, await clean_file(maker, postgres_dsn), password=password)
    async with visitor(traced, Referer=link.url) as anybody:
        await anybody.get(link.path)
        await anybody.post(link.path, data={"password": WRONG})
        await anybody.post(link.path, data={"password": password})
        await anybody.get(link.content)
        await anybody.get(link.path + "/content/more")
        await anybody.delete(link.path)
        await anybody.get(link.path, params={"again": link.token})
        await anybody.get(link.path + "%00")
    async with client_of(traced, tenant.api_key) as maker:
        await maker.delete(f"/v1/shares/{link.id}")
    async with visitor(traced) as anybody:
        await anybody.get(link.path)
    assert stop_api(traced) == 0, "what was traced is sent by then"
    log = (traced.home / "api.jsonl").read_text(encoding="utf-8")
    traces = b"".join(collector.received)
    assert '"/s/{token}/content"' in log
    assert b"/s/{token}/content" in traces
    for secret in (link.token, link.token[4:20], password, WRONG):
        assert secret not in log
        assert secret.encode() not in traces
    routes = {line.get("route") for line in traced.log_lines if line["event"] == "request"}
    assert {"/s/{token}", "unknown"} <= routes
