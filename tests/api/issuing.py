"""The provider's process of `oidc_issuer`, and what tests ask of it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.conftest import REPOSITORY, free_port

AUDIENCE = "https://muniment.test/api"


@dataclass(frozen=True)
class Issuer:
    url: str

    def ask(self, path: str, body: object = None) -> str:
        answer = httpx.request(
            "GET" if body is None else "POST",
            f"{self.url}{path}",
            content=None if body is None else json.dumps(body),
            timeout=30,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        return answer.text

    def token(
        self,
        subject: str = "ada",
        *,
        key: str = "RS256",
        header: dict[str, Any] | None = None,
        payload: str | None = None,
        **claims: Any,
    ) -> str:
        """Good for five minutes and for our API unless the claims say otherwise; a claim that is None
        is left out."""
        usual = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
        }
        said = {name: each for name, each in {**usual, **claims}.items() if each is not None}
        wanted = {"key": key, "header": header or {}, "payload": payload, "claims": said}
        return self.ask("/sign", wanted)

    def behave(self, **how: str) -> None:
        self.ask("/behave", how)

    def rotate(self) -> None:
        self.ask("/rotate", {})

    def times_asked(self) -> dict[str, int]:
        asked: dict[str, int] = httpx.get(f"{self.url}/asked", trust_env=False).json()
        return asked


@contextmanager
def issuing() -> Iterator[Issuer]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.api.oidc_issuer", str(port)], cwd=REPOSITORY
    )
    issuer = Issuer(f"http://127.0.0.1:{port}")
    try:
        for _ in range(300):
            assert process.poll() is None
            try:
                issuer.times_asked()
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                break
        yield issuer
    finally:
        process.kill()
        process.wait()
