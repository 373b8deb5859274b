"""Whether a token is one that the issuer made for this API, and what it says (RFC 7519, RFC 9068, and
the advice of RFC 8725)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwt import Claims, JWTClaimsRegistry
from pydantic import JsonValue

from api.oidc.keys import IssuerKeys
from db.models import now

MAX_TOKEN_CHARACTERS = 16 * 1024
MAX_HEADER_BYTES = 4096
MAX_SUBJECT_CHARACTERS = 255
ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
LEEWAY_SECONDS = 60
TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
ONLY_IN_ID_TOKENS = frozenset({"nonce", "at_hash", "c_hash"})
"""OpenID Connect Core 1.0, 2 and 3.3.2.11: an access token has no use for them."""
FARTHEST_END = timedelta(days=366)
"""A token may name any number as its end: what is kept of it is a time."""


class NotAccepted(Exception):
    """The token is none that counts here. What was wrong is for the log; whoever came with it learns
    no more than that it is `expired`, which only one that the issuer signed is found to be."""

    def __init__(self, reason: str, *, is_expired: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_expired = is_expired


@dataclass(frozen=True)
class Proven:
    """`claims` holds all that was signed."""

    subject: str
    issued_at: datetime
    ends_at: datetime
    claims: Mapping[str, JsonValue]


class TokenVerifier:
    def __init__(self, issuer: str, audience: str, keys: IssuerKeys) -> None:
        self.issuer = issuer
        self._audience = audience
        self._keys = keys

    async def verify(self, token: str) -> Proven:
        """Raises NotAccepted, and IssuerUnavailable."""
        try:
            kid, algorithm = _named_key(token)
            key = await self._keys.find(kid, algorithm)
            if key is None:
                raise NotAccepted("no key of the issuer")
            claims = jwt.decode(token, key, registry=_registry(algorithm)).claims
            self._judge(claims)
        except ExpiredTokenError as error:
            raise NotAccepted("expired", is_expired=True) from error
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            # Their messages may quote the token.
            raise NotAccepted(type(error).__name__) from None
        ends_at = min(claims["exp"], (now() + FARTHEST_END).timestamp())
        return Proven(
            subject=claims["sub"],
            issued_at=datetime.fromtimestamp(max(claims["iat"], 0), UTC),
            ends_at=datetime.fromtimestamp(ends_at, UTC),
            claims=claims,
        )

    def _judge(self, claims: Claims) -> None:
        JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        ).validate(claims)
        if len(claims["sub"]) > MAX_SUBJECT_CHARACTERS or not claims["sub"].isprintable():
            raise NotAccepted("a subject of unusual form")
        _require_access_token(claims)


def _named_key(token: str) -> tuple[str | None, str]:
    """The key and the algorithm that a token's head names; nothing of it is proven yet."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise NotAccepted("too long")
    header = jws.extract_compact(token.encode("ascii"), registry=_registry()).headers()
    kid, algorithm, kind = (header.get(name) for name in ("kid", "alg", "typ"))
    if algorithm not in ALGORITHMS:
        raise NotAccepted("an algorithm that is not allowed")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise NotAccepted("a type of token that is not taken")
    if "crit" in header or not isinstance(kid, str | None):
        raise NotAccepted("a head of unusual form")
    return kid, algorithm


def _require_access_token(claims: Claims) -> None:
    """`at+jwt` is said by no ID token. A plain `JWT` may be one: then what only ID tokens hold tells it,
    or what Keycloak (`typ`) and Cognito (`token_use`) write into the kinds they issue. Whose ID tokens
    hold none of that are told by their audience, which is a client."""
    if ONLY_IN_ID_TOKENS & claims.keys() or "events" in claims:
        raise NotAccepted("an ID or logout token")
    if claims.get("typ", "Bearer") != "Bearer" or claims.get("token_use", "access") != "access":
        raise NotAccepted("a token for another use")


def _registry(*algorithms: str) -> jws.JWSRegistry:
    """Heads may hold what is registered nowhere, as those of some issuers do; what they call critical
    is refused."""
    registry = jws.JWSRegistry(algorithms=algorithms or ALGORITHMS, strict_check_header=False)
    registry.max_header_length = MAX_HEADER_BYTES
    registry.max_payload_length = MAX_TOKEN_CHARACTERS
    return registry
