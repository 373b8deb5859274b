"""What a URL must be for a request to be sent to it. Judged by the parser that sends it as well."""

import re
from dataclasses import dataclass
from ipaddress import ip_address

import httpx

from muniment.egress.addresses import IPAddress, IPNetwork, is_allowed
from muniment.errors import AddressNotAllowed

MAX_URL_CHARACTERS = 2048
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)([a-z0-9_]([a-z0-9_-]{{0,61}}[a-z0-9])?\.)*{_LABEL}")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""The last label of a host that resolvers take for an IPv4 address (decimal, octal, hexadecimal, of
fewer than four parts): only its usual form is taken."""

_LOCALHOST = "localhost"
"""The one name, with what ends in it, whose addresses are known without asking (RFC 6761)."""
_LOOPBACK = (ip_address("127.0.0.1"), ip_address("::1"))


@dataclass(frozen=True)
class EgressPolicy:
    """Where requests may go. `networks`: addresses that an operator allows though they are not
    public."""

    ports: frozenset[int]
    networks: tuple[IPNetwork, ...] = ()
    allow_http: bool = False


@dataclass(frozen=True)
class Destination:
    """`address` where the URL names one instead of a host; `host` as DNS and TLS know it (punycode)."""

    url: httpx.URL
    host: str
    port: int
    address: IPAddress | None


def destination(url: str, policy: EgressPolicy) -> Destination:
    """Raises AddressNotAllowed, whose detail says why. What a name leads to is not looked at here."""
    if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable():
        raise AddressNotAllowed(
            f"is made of up to {MAX_URL_CHARACTERS} printable ASCII characters (names as punycode)"
        )
    if " " in url or "\\" in url:
        raise AddressNotAllowed("holds neither spaces nor backslashes")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise AddressNotAllowed("is no URL") from None
    schemes = ("https", "http") if policy.allow_http else ("https",)
    if parsed.scheme not in schemes:
        raise AddressNotAllowed(f"begins with {' or '.join(f'{each}://' for each in schemes)}")
    if parsed.userinfo or parsed.fragment:
        raise AddressNotAllowed("holds neither a user's name nor a fragment")
    port = parsed.port
    if port is None:
        port = 443 if parsed.scheme == "https" else 80
    if port not in policy.ports:
        allowed = ", ".join(map(str, sorted(policy.ports)))
        raise AddressNotAllowed(f"names a port that is not allowed; allowed are {allowed}")
    host = parsed.raw_host.decode("ascii")
    return Destination(parsed, host, port, _address(host, policy))


def require_elsewhere(wanted: Destination, policy: EgressPolicy) -> None:
    """Raises AddressNotAllowed for a name that leads to the machine itself, as is known without asking."""
    if wanted.host.rpartition(".")[2] != _LOCALHOST:
        return
    if not any(is_allowed(address, policy.networks) for address in _LOOPBACK):
        raise AddressNotAllowed("leads to the machine that sends")


def require_allowed(address: IPAddress, policy: EgressPolicy) -> None:
    if not is_allowed(address, policy.networks):
        raise AddressNotAllowed("leads to an address that is not public")


def _address(host: str, policy: EgressPolicy) -> IPAddress | None:
    try:
        address = ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host) or _NUMERIC.fullmatch(host.rpartition(".")[2]):
            raise AddressNotAllowed("names no host") from None
        return None
    require_allowed(address, policy)
    return address
