"""Links that ask for a password: who knows it, and who guesses."""

import asyncio
import hmac
import unicodedata

import httpx
import psycopg
import pytest

from api.shares.passwords import AT_ONCE, MAX_WAITING, SharePasswords
from muniment.errors import TooManyRequests
from tests.api.conftest import ApiProcess, audit_actions
from tests.api.sharing import CONTENT, Link, change, clean_file, downloads_of, share, visitor
from tests.conftest import TenantFixture

PASSWORD = "correct horse – café"
WRONG = "incorrect horse"


@pytest.fixture
async def link(client: httpx.AsyncClient, postgres_dsn: str) -> Link:
    file_id = await clean_file(client, postgres_dsn)
    return await share(client, file_id, password=PASSWORD)


async def give(anybody: httpx.AsyncClient, link: Link, password: str) -> httpx.Response:
    return await anybody.post(link.path, data={"password": password})


async def test_without_the_password_nothing_is_told(api: ApiProcess, link: Link) -> None:
    async with visitor(api) as anybody:
        page = await anybody.get(link.path)
        content = await anybody.get(link.content)
        asked = await anybody.head(link.content)
    assert page.status_code == 200
    assert "set-cookie" not in page.headers
    assert (content.status_code, asked.status_code) == (403, 403)
    for answer in (page, content):
        assert "report" not in answer.text
        assert "administrator" not in answer.text
    assert '<label for="password">Password</label>' in page.text
    assert 'type="password" required' in page.text
    assert '<form method="post">' in page.text
    assert f'href="../{link.token}"' in content.text


async def test_whoever_knows_it_gets_in(
    api: ApiProcess,
    client: httpx.AsyncClient,
    link: Link,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    async with visitor(api) as anybody:
        wrong = await give(anybody, link, WRONG)
        assert wrong.status_code == 403
        assert 'role="alert"' in wrong.text
        assert "set-cookie" not in wrong.headers
        right = await give(anybody, link, PASSWORD)
        assert right.status_code == 303
        assert right.url.join(right.headers["Location"]).path == link.path
        cookie = right.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert f"Path={link.path};" in cookie
        page = await anybody.get(link.path)
        assert "report.pdf" in page.text
        assert (await anybody.get(link.content)).content == CONTENT
        assert (await anybody.get(link.content)).content == CONTENT
        assert (await give(anybody, link, WRONG)).status_code == 303, "whoever is in stays in"
    assert await downloads_of(client, link) == 1
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    visits = [action for action in actions if action.startswith("share.")]
    assert visits == [
        "share.created",
        "share.password_refused",
        "share.opened",
        "share.downloaded",
    ]


async def test_letters_are_the_same_from_every_keyboard(api: ApiProcess, link: Link) -> None:
    async with visitor(api) as anybody:
        spelt = unicodedata.normalize("NFD", PASSWORD)
        assert spelt != PASSWORD
        assert (await give(anybody, link, spelt)).status_code == 303


async def test_after_five_wrong_ones_even_the_right_one_waits(
    api: ApiProcess, link: Link, postgres_dsn: str
) -> None:
    async with visitor(api) as anybody:
        for _ in range(5):
            assert (await give(anybody, link, WRONG)).status_code == 403
        refused = await give(anybody, link, PASSWORD)
        assert refused.status_code == 429
        assert 840 < int(refused.headers["Retry-After"]) <= 900
        assert "15 minutes" in refused.text
        # The oldest of the five leaves the window: one more, not five.
        change(
            postgres_dsn,
            "UPDATE share_try SET at = at - interval '15 minutes' WHERE id ="
            " (SELECT id FROM share_try WHERE share_id = %s ORDER BY at LIMIT 1)",
            link.id,
        )
        assert (await give(anybody, link, WRONG)).status_code == 403
        assert (await give(anybody, link, PASSWORD)).status_code == 429


async def test_of_twelve_guesses_at_once_five_are_looked_at(
    api: ApiProcess, link: Link, tenant: TenantFixture, postgres_dsn: str
) -> None:
    async with visitor(api) as anybody:
        answers = await asyncio.gather(*(give(anybody, link, WRONG) for _ in range(12)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [403] * 5 + [429] * 7
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert actions.count("share.password_refused") == 5


async def test_those_who_know_it_do_not_shut_each_other_out(api: ApiProcess, link: Link) -> None:
    """An office behind one address."""
    for _ in range(7):
        async with visitor(api) as anybody:
            assert (await give(anybody, link, PASSWORD)).status_code == 303


async def test_another_password_ends_all_sessions(
    api: ApiProcess, client: httpx.AsyncClient, link: Link
) -> None:
    async with visitor(api) as anybody:
        await give(anybody, link, PASSWORD)
        assert (await anybody.get(link.content)).status_code == 200
        other = "another password"
        await client.patch(f"/v1/shares/{link.id}", json={"password": other})
        assert (await anybody.get(link.content)).status_code == 403
        assert (await give(anybody, link, PASSWORD)).status_code == 403
        assert (await give(anybody, link, other)).status_code == 303
        assert (await anybody.get(link.content)).status_code == 200


async def test_a_link_without_a_password_takes_any_for_none(
    api: ApiProcess, client: httpx.AsyncClient, link: Link
) -> None:
    await client.patch(f"/v1/shares/{link.id}", json={"password": None})
    async with visitor(api) as anybody:
        assert (await give(anybody, link, WRONG)).status_code == 303
        assert (await anybody.get(link.content)).content == CONTENT


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"", "application/x-www-form-urlencoded", 403),
        (b"password=", "application/x-www-form-urlencoded", 403),
        (b"password=%ff%00", "application/x-www-form-urlencoded", 403),
        (b'{"password": "x"}', "application/json", 403),
        (b"password=" + b"x" * 20_000, "application/x-www-form-urlencoded", 422),
        (b"password=" + b"x" * 2_000_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_garbage_opens_nothing(
    api: ApiProcess, link: Link, content: bytes, media_type: str, status: int
) -> None:
    async with visitor(api) as anybody:
        answer = await anybody.post(
            link.path, content=content, headers={"Content-Type": media_type}
        )
        assert answer.status_code == status
        assert (await anybody.get(link.content)).status_code == 403


async def test_where_guesses_came_from_is_not_readable_in_the_database(
    api: ApiProcess, link: Link, postgres_dsn: str
) -> None:
    async with visitor(api) as anybody:
        await give(anybody, link, WRONG)
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT address, session_key, token_hash FROM share_try"
            " JOIN share_link ON share_link.id = share_id WHERE share_id = %s",
            (link.id,),
        ).fetchone()
    assert row is not None
    kept, session_key, token_hash = row
    here = bytes([127, 0, 0, 1])
    assert len(kept) == 32
    assert here not in kept
    for stored in (session_key, token_hash, session_key + token_hash, b""):
        derived = hmac.digest(session_key, b"site\0" + stored, "sha256")
        for key in (session_key, token_hash, derived):
            for told in (here, b"site\0" + here):
                assert hmac.digest(key, told, "sha256") != kept
    of_link = hmac.digest(session_key, b"site\0" + link.token.encode(), "sha256")
    assert hmac.digest(of_link, here, "sha256") == kept, "whoever has the link can"


async def test_two_are_looked_at_at_a_time_and_those_behind_the_queues_end_refused() -> None:
    passwords = SharePasswords()
    within = 0
    go_on = asyncio.Event()

    async def look() -> None:
        nonlocal within
        async with passwords.turn():
            within += 1
            await go_on.wait()

    looking = [asyncio.create_task(look()) for _ in range(AT_ONCE + MAX_WAITING)]
    await asyncio.sleep(0)  # each has begun, and waits
    with pytest.raises(TooManyRequests):
        await look()
    assert within == AT_ONCE
    making = asyncio.create_task(passwords.hash(PASSWORD))
    await asyncio.sleep(0)
    assert not making.done(), "those who make links have room, and wait for a turn"
    go_on.set()
    assert (await making).startswith("$argon2id$")
    await asyncio.gather(*looking)
    assert within == AT_ONCE + MAX_WAITING
    await look()
