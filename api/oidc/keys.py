"""The issuer's keys, as they were last published.

They are looked at again after ten minutes, and at once when a token names one that is not among them,
since issuers exchange their keys; the latter not twice in half a minute, since anybody can name a key.
While the issuer is away its last keys are believed for a day: longer, and one that it withdrew
because it was stolen would never be missed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from api.oidc.fetching import PublishedKeys
from muniment.errors import IssuerUnavailable

MOST_KEYS = 100
MOST_WAITING = 100
"""Requests that wait for a look for an unknown key: anybody can name one."""
SMALLEST_RSA_BITS = 2048
BITS_PER_CHARACTER = 6

logger = logging.getLogger(__name__)
Fetching = Callable[[], Awaitable[PublishedKeys]]


@dataclass(frozen=True)
class Pace:
    """In seconds: how long keys are taken for the present ones, how long they are believed at all, and
    the pauses between two looks for an unknown key, and after a look that failed."""

    fresh: float = 600.0
    believed: float = 24 * 3600.0
    between_searches: float = 30.0
    after_failure: float = 5.0


@dataclass(frozen=True)
class UsableKey:
    """Verifies by one algorithm: that of its kind, whatever a token says."""

    kid: str | None
    algorithm: str
    key: Key


class IssuerKeys:
    def __init__(self, fetch: Fetching, pace: Pace | None = None) -> None:
        self._fetch = fetch
        self._pace = pace or Pace()
        self._one_at_a_time = asyncio.Lock()
        self._keys: tuple[UsableKey, ...] | None = None
        self._fetched_at = self._failed_at = self._searched_at = float("-inf")
        self._waiting = 0

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key that a token was signed with; a token may leave out which where only one can be
        meant. None for a key that is not the issuer's. Raises IssuerUnavailable when nothing is known
        of its keys, and for an unknown one while they cannot be looked at: it may be new."""
        if found := _chosen(await self._present(), kid, algorithm):
            return found
        if self._was_searched():
            return None
        if self._waiting >= MOST_WAITING:
            raise IssuerUnavailable("too many requests wait for the issuer's keys")
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                await self._search()
        finally:
            self._waiting -= 1
        return _chosen(self._keys or (), kid, algorithm)

    def _was_searched(self) -> bool:
        return _since(self._searched_at) < self._pace.between_searches

    async def _search(self) -> None:
        """Only one that had an answer counts."""
        if self._was_searched():
            return
        if not await self._look():
            raise IssuerUnavailable("the issuer's keys cannot be looked at for a new one")
        self._searched_at = time.monotonic()

    async def _present(self) -> tuple[UsableKey, ...]:
        age = _since(self._fetched_at)
        if self._keys is not None and age < self._pace.fresh:
            return self._keys
        is_believed = self._keys is not None and age < self._pace.believed
        # One request waits for the issuer; the others go on with what is known.
        if not (is_believed and self._one_at_a_time.locked()):
            async with self._one_at_a_time:
                if _since(self._fetched_at) >= self._pace.fresh:
                    await self._look()
        if self._keys is None or _since(self._fetched_at) >= self._pace.believed:
            raise IssuerUnavailable("the issuer's keys cannot be had")
        return self._keys

    async def _look(self) -> bool:
        """Takes over what the issuer publishes. Whether it did: without an answer, or shortly after one
        was missed, everything stays as it is."""
        if _since(self._failed_at) < self._pace.after_failure:
            return False
        try:
            published = await self._fetch()
        except IssuerUnavailable as error:
            self._failed_at = time.monotonic()
            logger.warning("the issuer's keys were not read", extra={"reason": error.detail})
            return False
        self._keys = usable_keys(published)
        self._fetched_at = time.monotonic()
        logger.info("read the issuer's keys", extra={"count": len(self._keys)})
        return True


def usable_keys(published: PublishedKeys) -> tuple[UsableKey, ...]:
    """Public keys for signatures, of the kinds that are allowed here; the rest is passed over."""
    found = (_usable(each) for each in published.keys[:MOST_KEYS])
    return tuple(each for each in found if each is not None)


def _usable(described: Mapping[str, Any]) -> UsableKey | None:
    kid, named = described.get("kid"), described.get("alg")
    if described.get("use", "sig") != "sig" or not isinstance(kid, str | None):
        return None
    if not _is_public(described):
        return None
    try:
        key = import_key({**described})
        algorithm = _algorithm_of(key)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if algorithm is None or named not in (None, algorithm):
        return None
    return UsableKey(kid, algorithm, key)


def _is_public(described: Mapping[str, Any]) -> bool:
    """Of a kind that has a public half, and not so short that importing it warns."""
    kind, modulus = described.get("kty"), described.get("n")
    if kind == "RSA":
        return isinstance(modulus, str) and len(modulus) * BITS_PER_CHARACTER >= SMALLEST_RSA_BITS
    return kind in ("EC", "OKP")


def _algorithm_of(key: Key) -> str | None:
    """The one algorithm of RS256, ES256 and EdDSA that the key is for."""
    if isinstance(key, RSAKey):
        return "RS256" if key.public_key.key_size >= SMALLEST_RSA_BITS else None
    if isinstance(key, ECKey):
        return "ES256" if key.curve_name == "P-256" else None
    return "EdDSA" if isinstance(key, OKPKey) and key.curve_name == "Ed25519" else None


def _chosen(keys: tuple[UsableKey, ...], kid: str | None, algorithm: str) -> Key | None:
    of_algorithm = [each for each in keys if each.algorithm == algorithm]
    if kid is None:
        return of_algorithm[0].key if len(of_algorithm) == 1 else None
    return next((each.key for each in of_algorithm if each.kid == kid), None)


def _since(moment: float) -> float:
    return time.monotonic() - moment
