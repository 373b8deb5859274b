"""Signatures of webhooks, by Standard Webhooks (https://www.standardwebhooks.com, specification 1.0).

What is signed is `{id}.{timestamp}.{body}`; the header `webhook-signature` holds one signature per
key, separated by spaces, so that receivers know one of them while keys are exchanged:

    v1,{base64}    HMAC-SHA-256, secret shown as whsec_{base64}
    v1a,{base64}   ed25519, public key shown as whpk_{base64}; the private key never leaves
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SECRET_BYTES = 32
"""The specification asks for 24 to 64."""


class SignatureScheme(StrEnum):
    HMAC_SHA256 = "hmac-sha256"
    ED25519 = "ed25519"


@dataclass(frozen=True)
class SigningKey:
    """`secret`: 32 bytes, of the HMAC or of the ed25519 private key."""

    scheme: SignatureScheme
    secret: bytes = field(repr=False)

    @property
    def shared_secret(self) -> str | None:
        """What the receiver verifies with, to be shown once; None for ed25519."""
        if self.scheme is SignatureScheme.ED25519:
            return None
        return "whsec_" + base64.b64encode(self.secret).decode()

    @property
    def public_key(self) -> str | None:
        """What the receiver verifies with, and anybody may know; None for HMAC."""
        if self.scheme is SignatureScheme.HMAC_SHA256:
            return None
        public = Ed25519PrivateKey.from_private_bytes(self.secret).public_key()
        return "whpk_" + base64.b64encode(public.public_bytes_raw()).decode()

    def sign(self, content: bytes) -> str:
        if self.scheme is SignatureScheme.ED25519:
            signature = Ed25519PrivateKey.from_private_bytes(self.secret).sign(content)
            return "v1a," + base64.b64encode(signature).decode()
        signature = hmac.new(self.secret, content, hashlib.sha256).digest()
        return "v1," + base64.b64encode(signature).decode()


def new_signing_key(scheme: SignatureScheme) -> SigningKey:
    if scheme is SignatureScheme.ED25519:
        return SigningKey(scheme, Ed25519PrivateKey.generate().private_bytes_raw())
    return SigningKey(scheme, secrets.token_bytes(_SECRET_BYTES))


def signed_headers(
    keys: Sequence[SigningKey], message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers of a message at that time, in seconds since 1970."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(key.sign(content) for key in keys),
    }
