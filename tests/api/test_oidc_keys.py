"""The issuer's keys: exchanged, asked for rarely, and believed while the issuer is away."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial

import httpx
import pytest

from api.oidc import fetching, keys
from api.oidc.fetching import PublishedKeys, fetch_keys
from api.oidc.keys import IssuerKeys, Pace, usable_keys
from api.oidc.verifying import NotAccepted, TokenVerifier
from muniment.egress import tls_context
from muniment.errors import ConfigurationError, IssuerUnavailable
from muniment.settings import load_settings
from tests.api.conftest import start_api, stop_api
from tests.api.issuing import AUDIENCE, Issuer, issuing
from tests.api.test_oidc import environment_of, me
from tests.conftest import TenantFixture


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


def keys_of(issuer: Issuer, **pace: float) -> IssuerKeys:
    return IssuerKeys(partial(fetch_keys, issuer.url, tls_context()), Pace(**pace))


def verifier(issuer: Issuer, **pace: float) -> TokenVerifier:
    return TokenVerifier(issuer.url, AUDIENCE, keys_of(issuer, **pace))


def let_pass(keys: IssuerKeys, seconds: float) -> None:
    """As if all that they remember had been so much earlier."""
    keys._fetched_at -= seconds
    keys._failed_at -= seconds
    keys._searched_at -= seconds


async def test_exchanged_keys_are_found_at_once_and_withdrawn_ones_forgotten(
    issuer: Issuer,
) -> None:
    verifying = verifier(issuer)
    before = issuer.token()
    await verifying.verify(before)
    issuer.rotate()
    after = [issuer.token(key=key) for key in ("RS256", "ES256", "EdDSA")]
    await asyncio.gather(*(verifying.verify(token) for token in after))
    with pytest.raises(NotAccepted):
        await verifying.verify(before)
    assert issuer.times_asked() == {"keys": 2, "discovery": 2}


async def test_keys_that_nobody_has_are_looked_for_once_in_a_while(issuer: Issuer) -> None:
    verifying = verifier(issuer)
    good = issuer.token()
    wrong = [issuer.token(header={"kid": f"garbage{number}"}) for number in range(30)]
    found = await asyncio.gather(
        *(verifying.verify(token) for token in wrong), return_exceptions=True
    )
    assert all(isinstance(each, NotAccepted) for each in found)
    await verifying.verify(good)
    assert issuer.times_asked()["keys"] == 2
    issuer.rotate()
    late = issuer.token()
    with pytest.raises(NotAccepted):
        await verifying.verify(late)
    soon = verifier(issuer, between_searches=0.0)
    await soon.verify(late)
    issuer.rotate()
    await soon.verify(issuer.token())


async def test_keys_are_read_again_when_they_are_old(issuer: Issuer) -> None:
    known = keys_of(issuer)
    verifying = TokenVerifier(issuer.url, AUDIENCE, known)
    token = issuer.token()
    for _ in range(3):
        await verifying.verify(token)
    assert issuer.times_asked()["keys"] == 1
    let_pass(known, Pace().fresh)
    await verifying.verify(token)
    assert issuer.times_asked()["keys"] == 2


@pytest.mark.parametrize(
    ("document", "how"),
    [
        *itertools.product(
            ("discovery", "keys"), ("error", "redirect", "garbage", "large", "hang")
        ),
        ("discovery", "unparsable"),
    ],
)
async def test_an_issuer_on_a_bad_day_is_unavailable_and_its_last_keys_go_on(
    issuer: Issuer, document: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 1.0)
    verifying = verifier(issuer, fresh=0.0)
    token = issuer.token()
    await verifying.verify(token)
    issuer.behave(**{document: how})
    await verifying.verify(token)
    asked = issuer.times_asked()["discovery"]
    await verifying.verify(token)
    assert issuer.times_asked()["discovery"] == asked, "after a failure it is left in peace"
    with pytest.raises(IssuerUnavailable):
        await verifier(issuer).verify(token)
    with pytest.raises(IssuerUnavailable):
        await verifier(issuer, believed=0.0).verify(token)


async def test_a_new_key_while_the_issuer_is_away_is_not_taken_for_a_wrong_one(
    issuer: Issuer,
) -> None:
    known = keys_of(issuer, after_failure=60.0)
    verifying = TokenVerifier(issuer.url, AUDIENCE, known)
    before = issuer.token()
    await verifying.verify(before)
    issuer.rotate()
    after = issuer.token()
    issuer.behave(discovery="error")
    for _ in range(3):
        with pytest.raises(IssuerUnavailable):
            await verifying.verify(after)
    assert issuer.times_asked()["discovery"] == 2
    await verifying.verify(before)
    issuer.behave(discovery="normal")
    let_pass(known, 60.0)
    await verifying.verify(after)


async def test_only_so_many_wait_for_a_key_that_nobody_has(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 2.0)
    monkeypatch.setattr(keys, "MOST_WAITING", 3)
    verifying = verifier(issuer)
    await verifying.verify(issuer.token())
    wrong = issuer.token(header={"kid": "garbage"})
    issuer.behave(keys="hang")
    waiting = [asyncio.create_task(verifying.verify(wrong)) for _ in range(3)]
    await asyncio.sleep(0)  # each has begun, and waits
    with pytest.raises(IssuerUnavailable, match="too many"):
        await verifying.verify(wrong)
    assert not any(each.done() for each in waiting)
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, IssuerUnavailable) for each in found)


async def test_the_discovery_document_of_another_is_not_taken(issuer: Issuer) -> None:
    issuer.behave(discovery="foreign")
    with pytest.raises(IssuerUnavailable, match="another issuer"):
        await fetch_keys(issuer.url, tls_context())


async def test_requests_go_on_while_one_asks_a_slow_issuer(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 3.0)
    known = keys_of(issuer)
    verifying = TokenVerifier(issuer.url, AUDIENCE, known)
    token = issuer.token()
    await verifying.verify(token)
    let_pass(known, Pace().fresh)
    issuer.behave(keys="hang")
    waiting = asyncio.create_task(verifying.verify(token))
    await asyncio.sleep(0)  # it has begun, and asks
    await asyncio.gather(*(verifying.verify(token) for _ in range(20)))
    assert not waiting.done()
    await waiting


def test_keys_of_other_kinds_are_passed_over() -> None:
    point = {"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
             "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}  # fmt: skip
    good = {"kty": "EC", "crv": "P-256", "kid": "1", **point}  # RFC 7517, appendix A.1
    for other in (
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA", "e": "AQAB", "n": "AQAB"},
        {**good, "use": "enc"},
        {**good, "alg": "ES384"},
        {**good, "kid": 7},
        {**good, "x": "AAAA"},
        {**good, "y": None},
        {**good, "crv": "P-384"},
        {"kty": ["EC"]},
        {},
    ):
        assert len(usable_keys(PublishedKeys(keys=[other, good]))) == 1, json.dumps(other)


async def test_a_key_that_no_token_names_is_taken_where_only_one_can_be_meant(
    issuer: Issuer,
) -> None:
    verifying = verifier(issuer)
    await verifying.verify(issuer.token(header={"kid": None}))


@pytest.fixture
async def cold_api(
    api_environment: dict[str, str], issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """Started while the issuer is away."""
    issuer.behave(discovery="error")
    api = start_api(tmp_path_factory.mktemp("cold"), {**api_environment, **environment_of(issuer)})
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as door:
        yield door
    assert stop_api(api) == 0


async def test_without_any_keys_tokens_get_503_and_keys_of_ours_work(
    cold_api: httpx.AsyncClient, issuer: Issuer, tenant: TenantFixture
) -> None:
    away = await me(cold_api, issuer.token(org=tenant.name))
    assert away.status_code == 503, away.text
    assert away.json()["type"] == "urn:muniment:problem:issuer-unavailable"
    assert away.headers["Retry-After"]
    assert (await me(cold_api, tenant.api_key)).status_code == 200
    async with asyncio.timeout(30):
        issuer.behave(discovery="normal")
        while (await me(cold_api, issuer.token(org=tenant.name))).status_code == 503:  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    "address",
    ["http://login.example.org", "ftp://127.0.0.1", "https://a/?b", "https://u@a/", "login"],
)
def test_an_issuer_without_tls_is_no_setting(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_OIDC__ISSUER", address)
    monkeypatch.setenv("MUNIMENT_OIDC__AUDIENCE", AUDIENCE)
    with pytest.raises(ConfigurationError, match="MUNIMENT_OIDC"):
        load_settings()


def test_an_issuer_without_an_audience_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_OIDC__ISSUER", "https://login.example.org")
    with pytest.raises(ConfigurationError, match="MUNIMENT_OIDC"):
        load_settings()
