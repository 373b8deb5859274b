"""What whoever has a link sees and takes, and how it is counted."""

import asyncio
import re
from collections.abc import AsyncGenerator
from html import unescape
from ipaddress import ip_address
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import httpx
import psycopg
import pytest
from starlette.requests import ClientDisconnect

from api.files.content import Sealed
from api.services import Services
from api.shared_files import downloading
from api.shared_files.sessions import CookieScope
from api.shared_files.visiting import Visit
from db.models import ShareLink
from db.session import Database
from muniment.share_tokens import new_share_token
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.api.sharing import (
    CONTENT,
    Link,
    change,
    clean_file,
    downloads_of,
    scanned,
    share,
    visitor,
)
from tests.conftest import TenantFixture, make_tenant


@pytest.fixture
async def file_id(client: httpx.AsyncClient, postgres_dsn: str) -> str:
    return await clean_file(client, postgres_dsn)


@pytest.fixture
async def link(client: httpx.AsyncClient, file_id: str) -> Link:
    return await share(client, file_id)


async def test_the_page_tells_what_there_is_and_who_shared_it(api: ApiProcess, link: Link) -> None:
    async with visitor(api) as anybody:
        page = await anybody.get(link.path)
    assert page.status_code == 200
    text = page.text
    assert "<h1><bdi>report.pdf</bdi></h1>" in text
    assert "256.0 kB (256,000 bytes)" in text
    assert "application/pdf" in text
    assert "<bdi>administrator</bdi>" in text
    assert f'href="{link.token}/content"' in text
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT[\d:]+Z">\d+ \w+ \d{4}, [\d:]+ UTC<', text)
    assert '<html lang="en">' in text
    assert "<title>Download report.pdf</title>" in text
    assert "<script" not in text
    headers = page.headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in headers["Cache-Control"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "noindex" in headers["X-Robots-Tag"]


async def test_the_content_comes_from_the_pages_link(api: ApiProcess, link: Link) -> None:
    async with visitor(api) as anybody:
        page = await anybody.get(link.path)
        (target,) = re.findall(r'href="([^"]+)"', page.text)
        answer = await anybody.get(page.url.join(unescape(target)))
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="report.pdf"')
    assert answer.headers["Muniment-Shared-By"] == "administrator"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer.headers["Cache-Control"]
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("sees_the_page", [True, False])
async def test_a_session_is_counted_once_whatever_it_asks_for(
    api: ApiProcess, client: httpx.AsyncClient, link: Link, sees_the_page: bool
) -> None:
    async with visitor(api) as anybody:
        if sees_the_page:
            await anybody.get(link.path)
        first = await anybody.get(link.content, headers={"Range": "bytes=0-99999"})
        rest = await anybody.get(
            link.content, headers={"Range": "bytes=100000-", "If-Range": first.headers["ETag"]}
        )
        assert (first.status_code, rest.status_code) == (206, 206)
        assert first.content + rest.content == CONTENT
        parts = await anybody.get(link.content, headers={"Range": "bytes=0-9,-9"})
        assert parts.headers["Content-Type"].startswith("multipart/byteranges")
        await anybody.get(link.path)
        assert (await anybody.get(link.content)).content == CONTENT
    assert await downloads_of(client, link) == 1
    async with visitor(api) as another:
        await another.get(link.content)
    assert await downloads_of(client, link) == 2


async def test_a_button_pressed_eight_times_at_once_is_one_download(
    api: ApiProcess, client: httpx.AsyncClient, file_id: str
) -> None:
    link = await share(client, file_id, max_downloads=1)
    async with visitor(api) as anybody:
        await anybody.get(link.path)
        answers = await asyncio.gather(*(anybody.get(link.content) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.content == CONTENT for answer in answers)
    assert await downloads_of(client, link) == 1


async def test_of_ten_at_once_only_as_many_are_served_as_may_be(
    api: ApiProcess, client: httpx.AsyncClient, file_id: str
) -> None:
    link = await share(client, file_id, max_downloads=3)
    visitors = [visitor(api) for _ in range(10)]
    answers = await asyncio.gather(*(each.get(link.content) for each in visitors))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 3 + [410] * 7
    assert await downloads_of(client, link) == 3
    for each, answer in zip(visitors, answers, strict=True):
        again = await each.get(link.content, headers={"Range": "bytes=5-"})
        page = await each.get(link.path)
        if answer.status_code == 200:
            assert (again.status_code, page.status_code) == (206, 200), "it may go on"
        else:
            assert (again.status_code, page.status_code) == (410, 410)
        await each.aclose()
    assert await downloads_of(client, link) == 3


async def test_looking_is_no_download(
    api: ApiProcess,
    client: httpx.AsyncClient,
    link: Link,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    """As programs do that preview a link, and browsers that know the content."""
    before = audit_actions(postgres_dsn, tenant.tenant_id)
    async with visitor(api) as program:
        for _ in range(3):
            assert (await program.get(link.path)).status_code == 200
        page = await program.head(link.path)
        assert (page.status_code, page.content) == (200, b"")
        assert "set-cookie" not in page.headers
        asked = await program.head(link.content)
        assert (asked.status_code, asked.content) == (200, b"")
        assert asked.headers["Content-Length"] == str(len(CONTENT))
        tag = asked.headers["ETag"]
        known = await program.get(link.content, headers={"If-None-Match": tag})
        outside = await program.get(link.content, headers={"Range": "bytes=999999999-"})
        other = await program.get(link.content, headers={"If-Match": '"x"'})
    codes = (known.status_code, outside.status_code, other.status_code)
    assert codes == (304, 416, 412)
    assert await downloads_of(client, link) == 0
    assert audit_actions(postgres_dsn, tenant.tenant_id) == before


async def test_a_download_is_audited_as_a_visitors(
    api: ApiProcess, client: httpx.AsyncClient, link: Link, file_id: str
) -> None:
    async with visitor(api) as anybody:
        for _ in range(2):
            await anybody.get(link.content)
    for object_id, action in ((link.id, "share.downloaded"), (file_id, "file.downloaded")):
        parameters = {"object": object_id, "action": action}
        (event,) = (await client.get("/v1/audit", params=parameters)).json()["data"]
        assert (event["actor_kind"], event["actor_id"]) == ("visitor", None)
        assert event["payload"]["version"] == 1
        assert event["request_id"]


async def test_wrong_unknown_and_revoked_links_look_alike(
    api: ApiProcess, client: httpx.AsyncClient, file_id: str, postgres_dsn: str
) -> None:
    revoked, expired = [await share(client, file_id) for _ in range(2)]
    await client.delete(f"/v1/shares/{revoked.id}")
    change(
        postgres_dsn,
        "UPDATE share_link SET expires_at = now(), revoked_at = now() WHERE id = %s",
        expired.id,
    )
    never_was = new_share_token().token
    tokens = (revoked.token, expired.token, never_was, "mus_short", "%3Cb%3E")
    async with visitor(api) as anybody:
        for suffix in ("", "/content"):
            pages = [await anybody.get(f"/s/{token}{suffix}") for token in tokens]
            assert {page.status_code for page in pages} == {404}
            assert len({page.text for page in pages}) == 1
            assert "no-store" in pages[0].headers["Cache-Control"]
        below = await anybody.get(f"/s/{never_was}/")
        assert (below.status_code, below.headers.get("Location")) == (404, None)
        posted = await anybody.post(f"/s/{revoked.token}", data={"password": "x"})
        assert posted.status_code == 404


async def test_an_expired_link_says_so_to_whoever_has_it(
    api: ApiProcess, client: httpx.AsyncClient, link: Link, postgres_dsn: str
) -> None:
    async with visitor(api) as anybody:
        assert (await anybody.get(link.content)).status_code == 200
        change(postgres_dsn, "UPDATE share_link SET expires_at = now() WHERE id = %s", link.id)
        for path in (link.path, link.content):
            answer = await anybody.get(path)
            assert answer.status_code == 410
            assert "report" not in answer.text


async def test_revoking_works_at_once_for_those_within_too(
    api: ApiProcess, client: httpx.AsyncClient, link: Link
) -> None:
    async with visitor(api) as anybody:
        assert (await anybody.get(link.content)).status_code == 200
        await client.delete(f"/v1/shares/{link.id}")
        for path in (link.path, link.content):
            assert (await anybody.get(path)).status_code == 404
        assert (await anybody.head(link.content)).status_code == 404


async def test_links_of_whoever_is_disabled_are_dead_until_that_ends(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    maker = make_tenant(postgres_dsn, tenant.name, principal="maker", is_admin=False)
    async with client_of(api, maker.api_key) as makers, visitor(api) as anybody:
        own = await share(makers, await clean_file(makers, postgres_dsn))
        public = await share(makers, await clean_file(client, postgres_dsn, "all.pdf"))
        for disabled, status in ((True, 404), (False, 200)):
            answer = await client.patch(
                f"/v1/principals/{maker.principal_id}", json={"disabled": disabled}
            )
            assert answer.status_code == 200, answer.text
            for link in (own, public):
                assert (await anybody.get(link.path)).status_code == status
                assert (await anybody.get(link.content)).status_code == status


async def visit_to(link: Link, database: Database, tenant: TenantFixture) -> Visit:
    async with database.transaction(tenant.access) as session:
        found = await session.get_one(ShareLink, UUID(link.id))
    return Visit(
        token=link.token,
        share=found,
        access=tenant.access,
        address=ip_address("192.0.2.1"),
        sealed=Sealed(tenant.tenant_id, found.id, 3, b"", "a", "text/plain"),
        version=1,
        shared_by="",
        session=None,
        cookie_scope=CookieScope("/", secure=False),
    )


@pytest.mark.parametrize(
    "happens",
    [
        "UPDATE share_link SET revoked_at = now() WHERE id = %(link)s",
        "UPDATE share_link SET expires_at = now() WHERE id = %(link)s",
        "UPDATE share_link SET session_key = 'another' WHERE id = %(link)s",
        "UPDATE share_link SET networks = '{198.51.100.0/24}' WHERE id = %(link)s",
        "UPDATE file SET state = 'trashed' WHERE id = %(file)s",
        "UPDATE file SET state = 'quarantined' WHERE id = %(file)s",
        "UPDATE file_version SET scan_state = 'infected' WHERE file_id = %(file)s",
        "WITH lost AS (UPDATE principal SET is_admin = false WHERE id = %(maker)s)"
        " UPDATE file SET owner_id = NULL WHERE id = %(file)s",
        "UPDATE principal SET disabled_at = now() WHERE id = %(maker)s",
        "DELETE FROM share_link WHERE id = %(link)s",
    ],
)
async def test_a_download_under_way_breaks_off_when_what_allowed_it_is_gone(
    client: httpx.AsyncClient,
    link: Link,
    file_id: str,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    happens: str,
) -> None:
    monkeypatch.setattr(downloading, "LOOK_SECONDS", 0.0)
    visit = await visit_to(link, database, tenant)
    private = f"/v1/collections/{tenant.collection_id}"
    await client.patch(private, json={"visibility": "private"})
    is_closed = False

    async def content() -> AsyncGenerator[bytes, None]:
        nonlocal is_closed
        try:
            while True:
                yield b"piece"
        finally:
            is_closed = True

    sharing = SimpleNamespace(requires_clean=True)
    services = cast(Services, SimpleNamespace(database=database, sharing=sharing))
    body = downloading._while_live(services, visit, content())
    for _ in range(3):
        assert await anext(body) == b"piece"
    ids = {"link": link.id, "file": file_id, "maker": tenant.principal_id}
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute(happens.encode(), ids).rowcount == 1
    with pytest.raises(ClientDisconnect):
        await anext(body)
    assert is_closed


@pytest.mark.parametrize(
    "state", ["trashed", "quarantined", "rejected", "restricted", "erasing", "erased"]
)
async def test_a_file_that_is_withheld_is_not_there(
    api: ApiProcess, link: Link, file_id: str, postgres_dsn: str, state: str
) -> None:
    async with visitor(api) as anybody:
        assert (await anybody.get(link.content)).status_code == 200
        change(postgres_dsn, "UPDATE file SET state = %s WHERE id = %s", state, file_id)
        for path in (link.path, link.content):
            answer = await anybody.get(path)
            assert answer.status_code == 404
            assert state not in answer.text
        change(postgres_dsn, "UPDATE file SET state = 'ready' WHERE id = %s", file_id)
        assert (await anybody.get(link.content)).status_code == 200


@pytest.mark.parametrize("state", [None, "infected", "unscannable", "unscanned"])
async def test_what_no_scanner_found_clean_is_not_there(
    api: ApiProcess, link: Link, file_id: str, postgres_dsn: str, state: str | None
) -> None:
    change(postgres_dsn, "UPDATE file_version SET published_at = now() WHERE file_id = %s", file_id)
    scanned(postgres_dsn, file_id, state)
    async with visitor(api) as anybody:
        for path in (link.path, link.content):
            assert (await anybody.get(path)).status_code == 404


async def test_a_link_leads_no_further_than_its_maker_may_read_now(
    api: ApiProcess,
    client: httpx.AsyncClient,
    file_id: str,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    member = make_tenant(
        postgres_dsn,
        tenant.name,
        principal="member",
        is_admin=False,
        scopes=("shares:manage", "files:read"),
    )
    async with client_of(api, member.api_key) as maker, visitor(api) as anybody:
        link = await share(maker, file_id)
        assert (await anybody.get(link.content)).status_code == 200
        path = f"/v1/collections/{tenant.collection_id}"
        assert (await client.patch(path, json={"visibility": "private"})).status_code == 200
        for each in (link.path, link.content):
            assert (await anybody.get(each)).status_code == 404
        await client.patch(path, json={"visibility": "tenant"})
        assert (await anybody.get(link.content)).status_code == 200


async def test_a_link_follows_its_file_or_stays_at_its_version(
    api: ApiProcess,
    client: httpx.AsyncClient,
    file_id: str,
    postgres_dsn: str,
) -> None:
    newest, first = await share(client, file_id), await share(client, file_id, version=1)
    second = await client.post(
        f"/v1/files/{file_id}/versions", content=b"second", params={"name": "second.pdf"}
    )
    assert second.status_code == 202, second.text
    scanned(postgres_dsn, file_id, "clean")
    change(postgres_dsn, "UPDATE file SET current_version = 2 WHERE id = %s", file_id)
    async with visitor(api) as anybody:
        assert (await anybody.get(newest.content)).content == b"second"
        assert (await anybody.get(first.content)).content == CONTENT


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.pdf",
        '"><img src=x onerror=alert(1)>',
        "a\r\nSet-Cookie: a=b",
        "\u202egpj.exe",
        "&amp;&#x3c;.pdf",
        "résumé – 日本.pdf",
        "n" * 900,
    ],
)
async def test_hostile_names_stay_text(
    api: ApiProcess, client: httpx.AsyncClient, postgres_dsn: str, name: str
) -> None:
    link = await share(client, await clean_file(client, postgres_dsn, name))
    async with visitor(api) as anybody:
        page = await anybody.get(link.path)
        content = await anybody.get(link.content)
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "\u202e" not in page.text
    (shown,) = re.findall(r"<h1><bdi>(.*?)</bdi></h1>", page.text)
    expected = re.sub("[\u202e\r\n]", "_", name)
    assert unescape(shown) == expected
    assert content.content == CONTENT
    assert not any(each.startswith("a=") for each in content.headers.get_list("set-cookie"))
    disposition = content.headers["Content-Disposition"]
    assert disposition.startswith("attachment; ")
    assert "\u202e" not in disposition


async def test_a_session_belongs_to_one_link(
    api: ApiProcess, client: httpx.AsyncClient, file_id: str, link: Link
) -> None:
    locked = await share(client, file_id, password="correct horse battery")
    async with visitor(api) as anybody:
        answer = await anybody.get(link.content)
    cookie = answer.headers["Set-Cookie"]
    assert f"Path={link.path};" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie, "there is no TLS here"
    value = cookie.split(";")[0]
    async with visitor(api, Cookie=value) as carrying:
        assert (await carrying.get(locked.content)).status_code == 403
    session_id, until, signature = value.partition("=")[2].split(".")
    forged = (
        f"{session_id}.{int(until) + 10}.{signature}",
        f"{session_id}.{until}.{'0' * 64}",
        f"{session_id}.{until}",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "",
    )
    count = await downloads_of(client, link)
    for each in forged:
        async with visitor(api) as carrying:
            headers = {"Cookie": f"muniment_share={each}".encode()}
            assert (await carrying.get(link.content, headers=headers)).status_code == 200
        count += 1
        assert await downloads_of(client, link) == count, "as one who comes for the first time"
