"""Which addresses requests may go to: public ones, and the networks that an operator allows.

The registries are IANA's of special-purpose addresses (RFC 6890). Python's `is_global` alone is no
guard: it takes multicast for global, and follows registries that differ between its releases.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA gives out of IPv6; what lies outside is special in one way or another."""
REFUSED = tuple(
    ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64: any IPv4 address is behind it
        "64:ff9b:1::/48",  # NAT64 of a network's own
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any IPv4 address is behind it
        "3fff::/20",  # documentation
        "fec0::/10",  # site-local
    )
)
"""Refused beside what Python knows to be private, loopback, link-local, multicast or reserved."""


def is_allowed(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    """Whether a request may go there; `networks` are those that an operator allows besides. An IPv4
    address that is written as an IPv6 one is judged as what it is."""
    plain = _unmapped(address)
    return is_public(plain) or any(plain in network for network in networks)


def is_public(address: IPAddress) -> bool:
    plain = _unmapped(address)
    if isinstance(plain, IPv6Address) and plain not in GLOBAL_UNICAST:
        return False
    if plain.is_multicast or plain.is_reserved or plain.is_unspecified or not plain.is_global:
        return False
    return not any(plain in network for network in REFUSED)


def _unmapped(address: IPAddress) -> IPAddress:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
