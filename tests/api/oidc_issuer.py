"""`python -m tests.api.oidc_issuer PORT`: an OpenID Connect provider in a process of its own.

It publishes its discovery document and its keys, signs whatever a test wants under `POST /sign`, and
does under `POST /behave` what issuers do on bad days. Its signatures are made with `cryptography`
alone, so that nothing of the library that verifies them is tested against itself.
"""

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def public(kid: str, key: PrivateKey) -> dict[str, str]:
    """As RFC 7517 and RFC 8037 write a public key."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {
            "kid": kid,
            "kty": "RSA",
            "use": "sig",
            "n": number(numbers.n),
            "e": number(numbers.e),
        }
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        return {
            "kid": kid,
            "kty": "EC",
            "crv": "P-256",
            "x": number(point.x, 32),
            "y": number(point.y, 32),
        }
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kid": kid, "kty": "OKP", "crv": "Ed25519", "x": encoded(raw), "alg": "EdDSA"}


def signature(key: PrivateKey, algorithm: str, content: bytes) -> bytes:
    """`none` is no signature, and `HS256` one under the public key as it is published."""
    if algorithm == "none":
        return b""
    if algorithm == "HS256":
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return hmac.digest(pem, content, hashlib.sha256)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return key.sign(content)


class Keys:
    """Those that are published, the newest of each algorithm signing, and one that never was."""

    def __init__(self) -> None:
        self.turn = 0
        self.published: dict[str, PrivateKey] = {}
        self.foreign = rsa.generate_private_key(65537, 2048)
        self.rotate()

    def rotate(self) -> None:
        """New keys; the ones before are no longer published."""
        self.turn += 1
        self.published = {
            f"RS256-{self.turn}": rsa.generate_private_key(65537, 2048),
            f"ES256-{self.turn}": ec.generate_private_key(ec.SECP256R1()),
            f"EdDSA-{self.turn}": ed25519.Ed25519PrivateKey.generate(),
        }

    def sign(self, wanted: dict[str, Any]) -> str:
        """`key` names an algorithm, or is `foreign`; `header` goes over what is usual, where None
        leaves something out; `payload` is taken as it is, instead of `claims`."""
        algorithm = "RS256" if wanted["key"] == "foreign" else wanted["key"]
        kid = f"{algorithm}-{self.turn}"
        key = self.foreign if wanted["key"] == "foreign" else self.published[kid]
        header = {"typ": "at+jwt", "alg": algorithm, "kid": kid, **wanted["header"]}
        head = json.dumps({name: value for name, value in header.items() if value is not None})
        payload = wanted["payload"] or json.dumps(wanted["claims"])
        content = f"{encoded(head.encode())}.{encoded(payload.encode())}"
        return f"{content}.{encoded(signature(key, header['alg'], content.encode()))}"


def serve(port: int) -> None:
    keys = Keys()
    behaviour = {"keys": "normal", "discovery": "normal"}
    asked = {"keys": 0, "discovery": 0}
    guard = threading.Lock()
    issuer = f"http://127.0.0.1:{port}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/asked":
                self._answer(json.dumps(asked).encode())
                return
            document = "discovery" if self.path.startswith("/.well-known") else "keys"
            with guard:
                asked[document] += 1
            how = behaviour[document]
            if how == "hang":
                time.sleep(60)
            elif how == "error":
                self._answer(b"", 500)
            elif how == "redirect":
                self._answer(b"", 302, {"Location": f"{issuer}/elsewhere"})
            elif how == "garbage":
                self._answer(b"[" * 200_000)
            elif how == "large":
                self._answer(b'{"keys": []' + b" " * 10_000_000 + b"}")
            elif document == "discovery":
                address = "http://[" if how == "unparsable" else f"{issuer}/keys"
                named = "http://127.0.0.1:1" if how == "foreign" else issuer
                self._answer(json.dumps({"issuer": named, "jwks_uri": address}).encode())
            else:
                shown = [public(kid, key) for kid, key in keys.published.items()]
                others = [{"kty": "oct", "k": "c2VjcmV0", "kid": "HS256"}, {"kty": "unknown"}]
                self._answer(json.dumps({"keys": [*others, *shown]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/behave":
                behaviour.update(body)
                self._answer(b"{}")
            elif self.path == "/rotate":
                keys.rotate()
                self._answer(b"{}")
            else:
                self._answer(keys.sign(body).encode())

        def _answer(
            self, content: bytes, status: int = 200, headers: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
