"""What both clients share of opening WebSockets, by the `websockets` package."""

import ssl
from dataclasses import dataclass
from typing import Literal

import httpx
from websockets.exceptions import InvalidStatus, WebSocketException

MOST_MESSAGE_BYTES = 16 * 1024 * 1024
"""A whole answer comes with the passages that were read for it."""


@dataclass(frozen=True)
class SocketOptions:
    """As `httpx` takes them: how certificates are checked, whether the environment's proxies are meant."""

    verify: ssl.SSLContext | bool = True
    trust_environment: bool = True

    def context(self, url: str) -> ssl.SSLContext | None:
        """None without TLS."""
        if not url.startswith("wss:"):
            return None
        return httpx.create_ssl_context(verify=self.verify, trust_env=self.trust_environment)

    @property
    def proxy(self) -> Literal[True] | None:
        """True: the one that the environment names, if it does."""
        return True if self.trust_environment else None


def refusal(error: InvalidStatus) -> httpx.Response:
    """What was answered instead of the handshake."""
    answered = error.response
    headers = [*answered.headers.raw_items()]
    return httpx.Response(
        answered.status_code, headers=headers, content=bytes(answered.body or b"")
    )


def transport_error(
    error: WebSocketException | OSError, *, is_opening: bool
) -> httpx.TransportError:
    """As the flows know it. A time that ran out is an OSError too."""
    reason = str(error) or type(error).__name__
    kind = httpx.ConnectError if is_opening else httpx.ReadError
    raised = kind(reason)
    raised.__cause__ = error
    return raised
