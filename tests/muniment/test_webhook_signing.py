"""Messages are signed as receivers verify them: by the library of Standard Webhooks, and by hand."""

import base64
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from muniment.webhook_signing import SignatureScheme, SigningKey, new_signing_key, signed_headers

BODY = b'{"type":"file.ready"}'


def verify_ed25519(public_key: str, headers: dict[str, str], body: bytes) -> None:
    """As a receiver with `whpk_…` does; raises InvalidSignature."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for signature in headers["webhook-signature"].split(" "):
        version, _, value = signature.partition(",")
        if version == "v1a":
            key.verify(base64.b64decode(value), content)
            return
    raise InvalidSignature


def test_the_library_of_receivers_verifies_a_shared_secret() -> None:
    key = new_signing_key(SignatureScheme.HMAC_SHA256)
    assert key.public_key is None
    assert key.shared_secret is not None
    headers = signed_headers([key], "message-1", int(time.time()), BODY)
    receiver = Webhook(key.shared_secret)
    assert receiver.verify(BODY, headers) == {"type": "file.ready"}
    for changed in (
        {**headers, "webhook-id": "message-2"},
        {**headers, "webhook-timestamp": str(int(time.time()) + 1)},
    ):
        with pytest.raises(WebhookVerificationError):
            receiver.verify(BODY, changed)
    with pytest.raises(WebhookVerificationError):
        receiver.verify(BODY + b" ", headers)


def test_the_specifications_own_example_has_its_signature() -> None:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/README.md"""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    key = SigningKey(SignatureScheme.HMAC_SHA256, secret)
    headers = signed_headers(
        [key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_public_key_verifies_what_the_private_one_signed() -> None:
    key = new_signing_key(SignatureScheme.ED25519)
    assert key.shared_secret is None
    assert key.public_key is not None
    headers = signed_headers([key], "message-1", 1_700_000_000, BODY)
    verify_ed25519(key.public_key, headers, BODY)
    with pytest.raises(InvalidSignature):
        verify_ed25519(key.public_key, headers, BODY + b" ")
    other = new_signing_key(SignatureScheme.ED25519)
    assert other.public_key is not None
    with pytest.raises(InvalidSignature):
        verify_ed25519(other.public_key, headers, BODY)


def test_every_key_signs_while_they_are_exchanged() -> None:
    old, new = [new_signing_key(SignatureScheme.HMAC_SHA256) for _ in range(2)]
    public = new_signing_key(SignatureScheme.ED25519)
    headers = signed_headers([new, old, public], "message-1", int(time.time()), BODY)
    assert headers["webhook-signature"].count(" ") == 2
    for key in (old, new):
        assert key.shared_secret is not None
        Webhook(key.shared_secret).verify(BODY, headers)
    assert public.public_key is not None
    verify_ed25519(public.public_key, headers, BODY)


def test_a_secret_is_in_no_representation() -> None:
    key = new_signing_key(SignatureScheme.HMAC_SHA256)
    assert "secret" not in repr(key)
