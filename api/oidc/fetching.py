"""What the issuer publishes: where its keys are (OpenID Connect Discovery 1.0), and the keys (RFC 7517).

Time and size are bounded, redirects are answers like others, no proxy of the environment is asked.
"""

import asyncio
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel

from muniment.errors import IssuerUnavailable

DISCOVERY = "/.well-known/openid-configuration"
TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
MAX_DOCUMENT_BYTES = 256 * 1024
OK = 200


class Discovery(BaseModel):
    """What is used of it."""

    issuer: str
    jwks_uri: str


class PublishedKeys(BaseModel):
    """Each key as RFC 7517 has it; some may be of kinds that are unknown here."""

    keys: list[dict[str, Any]]


async def fetch_keys(issuer: str, tls: ssl.SSLContext) -> PublishedKeys:
    """Raises IssuerUnavailable, whose detail says for the log what was wrong."""
    timeout = httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS)
    try:
        async with (
            asyncio.timeout(TOTAL_SECONDS),
            httpx.AsyncClient(verify=tls, timeout=timeout, trust_env=False) as client,
        ):
            address = issuer.rstrip("/") + DISCOVERY
            described = Discovery.model_validate_json(await _read(client, address))
            if described.issuer != issuer:
                raise IssuerUnavailable("the discovery document is of another issuer")
            if not _is_as_safe(described.jwks_uri, issuer):
                raise IssuerUnavailable("the issuer's keys would come without TLS")
            return PublishedKeys.model_validate_json(await _read(client, described.jwks_uri))
    except ValueError:  # ValidationError is one, and so is that of an address that cannot be parsed
        raise IssuerUnavailable("what the issuer publishes is no such document") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise IssuerUnavailable(
            f"the issuer of access tokens does not answer ({type(error).__name__})"
        ) from error


async def _read(client: httpx.AsyncClient, address: str) -> bytes:
    """The body, as it is sent: what is packed could be of any size."""
    content = bytearray()
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client.stream("GET", address, headers=headers) as answer:
        if answer.status_code != OK:
            raise IssuerUnavailable(f"the issuer answers with status {answer.status_code}")
        async for piece in answer.aiter_raw():
            content += piece
            if len(content) > MAX_DOCUMENT_BYTES:
                raise IssuerUnavailable(f"the issuer sends more than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(content)


def _is_as_safe(address: str, issuer: str) -> bool:
    """Over TLS, or from the very place that the operator named without."""
    parts, named = urlsplit(address), urlsplit(issuer)
    return parts.scheme == "https" or (parts.scheme, parts.netloc) == (named.scheme, named.netloc)
