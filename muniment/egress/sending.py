"""Sends requests to judged addresses only.

A name is resolved once per request, every address that it has is judged, and the connection goes to
one of those: whoever answers the next look-up otherwise gains nothing. The host's name stays in the
`Host` header and in TLS, where the certificate is verified against it. Redirects are answers like
others, no proxy of the environment is asked, and no connection is used twice: one that was verified
for a host must not serve another that shares its address.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import httpx

from muniment.egress.addresses import IPAddress
from muniment.egress.destination import Destination, EgressPolicy, destination, require_allowed
from muniment.egress.resolving import Resolver
from muniment.errors import AddressNotAllowed

MAX_TRIED = 3
"""Addresses of a host that are tried, one after the other, until one of them takes the connection."""
DRAINED_BYTES = 64 * 1024
DRAIN_SECONDS = 1.0
"""So much of an answer's body is read and forgotten, so that its sender need not see a broken pipe."""


@dataclass(frozen=True)
class Answer:
    """What is kept of a response: nothing of its body."""

    status: int
    retry_after: str | None


def tls_context(authorities: Path | None = None) -> ssl.SSLContext:
    """Trusts the public authorities, and those of that file besides."""
    context = httpx.create_ssl_context(trust_env=False)
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context


class Egress:
    """`total_seconds` bounds a request from the look-up of its host to the head of the answer,
    `connect_seconds` each connection."""

    def __init__(
        self,
        policy: EgressPolicy,
        tls: ssl.SSLContext,
        resolver: Resolver,
        *,
        connect_seconds: float,
        total_seconds: float,
    ) -> None:
        self._policy = policy
        self._tls = tls
        self._timeout = httpx.Timeout(total_seconds, connect=connect_seconds)
        self._total_seconds = total_seconds
        self._resolver = resolver

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> Answer:
        """Raises AddressNotAllowed, TimeoutError, or ConnectionError for all else on the way there
        and back."""
        place = destination(url, self._policy)
        try:
            async with self._client() as client:
                # The time limit ends before the client does, which closes its connection in peace.
                async with asyncio.timeout(self._total_seconds):
                    addresses = await self._addresses(place)
                    response = await _first_taken(client, place, addresses, headers, content)
                return await _kept_of(response)
        except httpx.TimeoutException as error:
            raise TimeoutError(type(error).__name__) from error
        except TimeoutError:
            raise
        except (httpx.HTTPError, OSError) as error:
            raise ConnectionError(type(error).__name__) from error

    async def _addresses(self, place: Destination) -> list[IPAddress]:
        """Those to try; raises AddressNotAllowed if a single one of the host's is not allowed."""
        if place.address is not None:
            return [place.address]
        try:
            found = [ip_address(each) for each in await self._resolver(place.host, place.port)]
        except ValueError as error:
            raise AddressNotAllowed("leads to no address") from error
        for address in found:
            require_allowed(address, self._policy)
        if not found:
            raise ConnectionError("the host has no address")
        return list(dict.fromkeys(found))[:MAX_TRIED]

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, retries=0)
        return httpx.AsyncClient(
            transport=transport, timeout=self._timeout, trust_env=False, follow_redirects=False
        )


async def _first_taken(
    client: httpx.AsyncClient,
    place: Destination,
    addresses: Sequence[IPAddress],
    headers: Mapping[str, str],
    content: bytes,
) -> httpx.Response:
    """The head of the answer of the first address that takes the connection."""
    for address in addresses[:-1]:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            request = _pinned(client, place, address, headers, content)
            return await client.send(request, stream=True)
    request = _pinned(client, place, addresses[-1], headers, content)
    return await client.send(request, stream=True)


def _pinned(
    client: httpx.AsyncClient,
    place: Destination,
    address: IPAddress,
    headers: Mapping[str, str],
    content: bytes,
) -> httpx.Request:
    """A request that connects to the address and speaks to the host."""
    extensions = {} if place.address is not None else {"sni_hostname": place.host}
    return client.build_request(
        "POST",
        place.url.copy_with(host=str(address)),
        headers={**headers, "Host": place.url.netloc.decode("ascii")},
        content=content,
        extensions=extensions,
    )


async def _kept_of(response: httpx.Response) -> Answer:
    try:
        await _drain(response)
    finally:
        await response.aclose()
    return Answer(response.status_code, response.headers.get("retry-after"))


async def _drain(response: httpx.Response) -> None:
    """What goes wrong after the head of an answer does not change it."""
    read = 0
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for piece in response.aiter_raw():
                read += len(piece)
                if read >= DRAINED_BYTES:
                    return
