"""Where a request comes from: its connection, or what proxies that the operator named say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

from starlette.datastructures import Headers
from starlette.types import Scope

from muniment.errors import InvalidRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOWHERE = IPv4Address("0.0.0.0")  # noqa: S104 - stands for a connection that is gone
_SITE_BYTES = 8
"""Of an IPv6 address: what a provider gives to one customer, who chooses the rest."""


@dataclass(frozen=True)
class Proxies:
    """The networks whose word on `X-Forwarded-For` and `X-Forwarded-Proto` is taken. Anybody else can
    write what they like into those headers, and is what the connection says."""

    networks: Sequence[Network] = ()

    def client_address(self, scope: Scope) -> Address:
        """The right-most hop that is no proxy of ours: what stands left of it, it wrote itself.
        Raises InvalidRequest for a header of a proxy of ours that holds no addresses."""
        address = _peer(scope)
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        hops = [hop.strip() for hop in forwarded if hop.strip()]
        while hops and lies_within(address, self.networks):
            address = _parsed(hops.pop())
        return address

    def is_encrypted(self, scope: Scope) -> bool:
        """Whether the client came by https, as far as the proxy nearest to us knows."""
        if not lies_within(_peer(scope), self.networks):
            return bool(scope["scheme"] == "https")
        forwarded = Headers(scope=scope).get("x-forwarded-proto", "").split(",")
        return forwarded[-1].strip().lower() == "https"


def lies_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def site_of(address: Address) -> bytes:
    """The address, of IPv6 its /64: what one client can call its own."""
    return address.packed[:_SITE_BYTES]


def _peer(scope: Scope) -> Address:
    client = scope.get("client")
    return _NOWHERE if client is None else _parsed(str(client[0]))


def _parsed(hop: str) -> Address:
    """An address, with the port that some proxies write behind it."""
    bare = hop
    if hop.startswith("["):
        bare = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        bare = hop.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        raise InvalidRequest("X-Forwarded-For of a proxy holds what is no address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
