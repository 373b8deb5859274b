"""Requests go to judged addresses only, and nowhere else, whatever names and answers say."""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from muniment.egress import (
    Egress,
    EgressPolicy,
    SystemResolver,
    destination,
    is_allowed,
    tls_context,
)
from muniment.errors import AddressNotAllowed
from tests.conftest import free_port
from tests.patience import on_a_busy_machine
from tests.receiver import Authority, Received, Receiver, Reply, make_authority, receiving

HOST = "hooks.example.test"
LOOPBACK = (ip_network("127.0.0.0/8"),)

SPECIAL = [
    str(ip_address(0)), "0.1.2.3",
    "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:db8::1",
    "2002:7f00:1::", "2002:808:808::1", "3fff::1", "4000::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("address", SPECIAL)
def test_special_addresses_are_refused(address: str) -> None:
    assert not is_allowed(ip_address(address), ())


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), ())


def test_an_operator_allows_a_network_and_nothing_beside_it() -> None:
    networks = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))
    for allowed in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"):
        assert is_allowed(ip_address(allowed), networks)
    for refused in ("10.2.0.1", "fd00:2::1", "127.0.0.1", "64:ff9b::a01:203"):
        assert not is_allowed(ip_address(refused), networks)


PLAIN = EgressPolicy(frozenset({443, 8443}))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?token=x",
        "https://example.com:8443/",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "HTTPS://EXAMPLE.COM/",
    ],
)
def test_an_address_outside_is_taken(url: str) -> None:
    destination(url, PLAIN)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "//example.com/",
        "example.com",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com#@127.0.0.1/",
        "https://example.com/#fragment",
        "https://example.com\\@127.0.0.1/",
        "https://example.com /",
        "https://example.com/\r\nX-Header: 1",
        "https://exa\tmple.com/",
        "https://example.com:80/",
        "https://example.com:22/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://example.com:-1/",
        "https://example.com./",
        "https://.example.com/",
        "https://exa_mple..com/",
        "https://bücher.example/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://0/",
        "https://1/",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://%31%32%37.0.0.1/",
        "https://①②⑦.0.0.1/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_no_other_address_is_taken(url: str) -> None:
    with pytest.raises(AddressNotAllowed):
        destination(url, PLAIN)


def test_plain_http_and_a_private_network_are_an_operators_choice() -> None:
    policy = EgressPolicy(frozenset({8080}), (ip_network("10.0.0.0/8"),), allow_http=True)
    destination("http://10.0.0.1:8080/", policy)
    for url in ("http://10.0.0.1/", "http://127.0.0.1:8080/", "https://10.0.0.1/"):
        with pytest.raises(AddressNotAllowed):
            destination(url, policy)


class Names:
    """Answers for the names that it is told, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = iter(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return next(self._answers)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"), HOST)


@pytest.fixture
def receiver(authority: Authority) -> Iterator[Receiver]:
    with receiving(tls=authority.server) as receiver:
        yield receiver


def egress_to(
    receiver: Receiver, names: Names, authorities: Path | None, seconds: float = 20
) -> Egress:
    policy = EgressPolicy(frozenset({receiver.port}), LOOPBACK)
    return Egress(
        policy,
        tls_context(authorities),
        names,
        connect_seconds=seconds,
        total_seconds=seconds,
    )


async def test_the_host_keeps_its_name_where_the_address_is_pinned(
    receiver: Receiver, authority: Authority
) -> None:
    names = Names(["127.0.0.1"])
    egress = egress_to(receiver, names, authority.file)
    answer = await egress.post(f"https://{HOST}:{receiver.port}/a?b=c", {"X-A": "1"}, b"body")
    assert (answer.status, answer.retry_after) == (200, None)
    assert names.asked == [HOST]
    assert receiver.server_names == [HOST]
    [request] = receiver.received
    assert (request.path, request.body, request.headers["x-a"]) == ("/a?b=c", b"body", "1")
    assert request.headers["host"] == f"{HOST}:{receiver.port}"


async def test_the_certificate_is_verified_against_the_name(
    receiver: Receiver, authority: Authority
) -> None:
    other = f"https://other.example.test:{receiver.port}/"
    with pytest.raises(ConnectionError):
        await egress_to(receiver, Names(["127.0.0.1"]), authority.file).post(other, {}, b"")
    untrusted = f"https://{HOST}:{receiver.port}/"
    with pytest.raises(ConnectionError):
        await egress_to(receiver, Names(["127.0.0.1"]), None).post(untrusted, {}, b"")
    by_address = f"https://127.0.0.1:{receiver.port}/"
    with pytest.raises(ConnectionError):
        await egress_to(receiver, Names(), authority.file).post(by_address, {}, b"")
    assert receiver.received == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1", "10.0.0.1"],
        ["169.254.169.254", "127.0.0.1"],
        ["127.0.0.1", "127.0.0.1", "127.0.0.1", "::1"],
        ["127.0.0.1", "fe80::1%1"],
        ["127.0.0.1", "no address"],
        ["::ffff:10.0.0.1"],
    ],
)
async def test_one_bad_address_among_good_ones_is_one_too_many(
    receiver: Receiver, authority: Authority, addresses: list[str]
) -> None:
    egress = egress_to(receiver, Names(addresses), authority.file)
    with pytest.raises(AddressNotAllowed):
        await egress.post(f"https://{HOST}:{receiver.port}/", {}, b"")
    assert receiver.received == []


async def test_a_name_that_is_bound_anew_is_judged_anew(
    receiver: Receiver, authority: Authority
) -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"])
    egress = egress_to(receiver, names, authority.file)
    url = f"https://{HOST}:{receiver.port}/"
    await egress.post(url, {}, b"1")
    with pytest.raises(AddressNotAllowed):
        await egress.post(url, {}, b"2")
    await egress.post(url, {}, b"3")
    assert names.asked == [HOST] * 3, "once for each request"
    assert [each.body for each in receiver.received] == [b"1", b"3"]


async def test_a_redirect_is_an_answer(receiver: Receiver, authority: Authority) -> None:
    receiver.reply = lambda _: Reply(302, {"Location": "http://169.254.169.254/latest/meta-data"})
    egress = egress_to(receiver, Names(["127.0.0.1"]), authority.file)
    answer = await egress.post(f"https://{HOST}:{receiver.port}/", {}, b"")
    assert answer.status == 302
    assert len(receiver.received) == 1


async def test_the_next_address_is_tried_where_the_first_takes_no_connection(
    receiver: Receiver, authority: Authority
) -> None:
    names = Names(["127.0.0.2", "127.0.0.1"])
    egress = egress_to(receiver, names, authority.file)
    answer = await egress.post(f"https://{HOST}:{receiver.port}/", {}, b"once")
    assert answer.status == 200
    assert [each.body for each in receiver.received] == [b"once"]


async def test_a_proxy_of_the_environment_is_not_asked(
    receiver: Receiver, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    egress = egress_to(receiver, Names(["127.0.0.1"]), authority.file)
    assert (await egress.post(f"https://{HOST}:{receiver.port}/", {}, b"")).status == 200


async def test_what_does_not_answer_is_left(authority: Authority) -> None:
    def late(_: Received) -> Reply:
        time.sleep(3)
        return Reply()

    with receiving(late, authority.server) as receiver:
        egress = egress_to(receiver, Names(["127.0.0.1"]), authority.file, seconds=1)
        with pytest.raises(TimeoutError):
            await egress.post(f"https://{HOST}:{receiver.port}/", {}, b"")


async def test_an_endless_body_is_not_read(receiver: Receiver, authority: Authority) -> None:
    receiver.reply = lambda _: Reply(body=itertools.repeat(b"x" * 65_536))
    egress = egress_to(receiver, Names(["127.0.0.1"]), authority.file)
    begun = time.monotonic()
    assert (await egress.post(f"https://{HOST}:{receiver.port}/", {}, b"")).status == 200
    assert time.monotonic() - begun < 10


async def test_a_body_that_trickles_is_left(receiver: Receiver, authority: Authority) -> None:
    def trickle() -> Iterator[bytes]:
        while True:
            time.sleep(0.2)
            yield b"x"

    receiver.reply = lambda _: Reply(503, {"Retry-After": "7"}, trickle())
    egress = egress_to(receiver, Names(["127.0.0.1"]), authority.file)
    begun = time.monotonic()
    answer = await egress.post(f"https://{HOST}:{receiver.port}/", {}, b"")
    assert (answer.status, answer.retry_after) == (503, "7")
    assert time.monotonic() - begun < 10


async def test_endless_headers_are_an_error(receiver: Receiver, authority: Authority) -> None:
    receiver.reply = lambda _: Reply(200, {f"X-{number}": "x" * 1_000 for number in range(400)})
    egress = egress_to(receiver, Names(["127.0.0.1"]), authority.file)
    with pytest.raises(ConnectionError):
        await egress.post(f"https://{HOST}:{receiver.port}/", {}, b"")


async def test_a_host_without_address_or_server_is_unreachable(authority: Authority) -> None:
    gone = Receiver(free_port(), lambda _: Reply())
    url = f"https://{HOST}:{gone.port}/"
    for names in (Names(["127.0.0.1"]), Names([])):
        with pytest.raises(ConnectionError):
            await egress_to(gone, names, authority.file).post(url, {}, b"")


async def test_what_the_systems_resolver_takes_for_an_address_is_judged_too(
    receiver: Receiver, authority: Authority
) -> None:
    """By the real resolver: `localhost` leads here, and here is not outside."""
    policy = EgressPolicy(frozenset({receiver.port}))
    tls, system = tls_context(authority.file), SystemResolver(1)
    egress = Egress(policy, tls, system, connect_seconds=20, total_seconds=20)
    with pytest.raises(AddressNotAllowed):
        await egress.post(f"https://localhost:{receiver.port}/", {}, b"")
    system.close()
    assert receiver.received == []


async def test_names_that_are_never_answered_hold_up_no_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More of them than asyncio's own threads are."""
    released = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        released.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    system = SystemResolver(4)
    egress = Egress(PLAIN, tls_context(), system, connect_seconds=0.5, total_seconds=0.5)
    posts = (egress.post(f"https://{HOST}/", {}, b"") for _ in range(40))
    try:
        answers = await asyncio.gather(*posts, return_exceptions=True)
        assert {type(each) for each in answers} == {TimeoutError}
        async with asyncio.timeout(on_a_busy_machine(5)):
            assert await asyncio.to_thread(int, 7) == 7
    finally:
        released.set()
        system.close()
