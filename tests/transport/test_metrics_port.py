"""The API's `/metrics` on a port of its own, over https."""

import socket
import ssl

import httpx

from api.__main__ import _serve_metrics
from muniment.settings import ApiSettings
from tests.certificates import Authority
from tests.conftest import free_port


def test_a_connection_that_says_nothing_keeps_nobody_from_scraping(authority: Authority) -> None:
    identity = authority.issue("127.0.0.1")
    port = free_port()
    settings = ApiSettings(
        host="127.0.0.1", tls_certificate=identity.certificate, tls_key=identity.key
    )
    _serve_metrics(settings, port)
    trusting = ssl.create_default_context(cafile=authority.file)
    with socket.create_connection(("127.0.0.1", port), 10):
        for _ in range(2):
            answer = httpx.get(
                f"https://127.0.0.1:{port}/metrics", verify=trusting, trust_env=False, timeout=10
            )
            assert answer.status_code == 200
