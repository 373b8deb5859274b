"""uvicorn with an orderly end: event streams are closed first, so that nothing waits for viewers."""

import signal
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from uvicorn.server import HANDLED_SIGNALS

from api.protocol import BoundedProtocol
from api.websocket_protocol import MAX_MESSAGE_BYTES, PING_SECONDS, BoundedWebSocket
from muniment.errors import ConfigurationError

SHUTDOWN_SECONDS = 10
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048


def server_configuration(
    application: FastAPI, host: str, port: int, tls: ssl.SSLContext | None = None
) -> uvicorn.Config:
    """Serves https where there is a context for it."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedProtocol,
        ws=BoundedWebSocket,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        # Whose X-Forwarded-For counts is MUNIMENT_API__TRUSTED_PROXIES: api.client_address.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        backlog=BACKLOG,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )


def listen_beside_others(configuration: uvicorn.Config) -> socket.socket:
    """A listening socket on the configured port, on which others of the same account may listen as well:
    connections are spread over them. Raises ConfigurationError."""
    address = (configuration.host, configuration.port)
    family = socket.AF_INET6 if ":" in configuration.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=True)
    except OSError as error:
        raise ConfigurationError(
            f"port {configuration.port} of MUNIMENT_API__HOST cannot be listened on: {error.strerror}",
            remedy="Choose another MUNIMENT_API__PORT, or end the program that has it.",
        ) from error


class Server(uvicorn.Server):
    """Calls `on_stop` when it is told to stop, before it waits for requests in progress."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's own, but it does not raise the signal again at the end: the process has more
        to close, and ends by itself."""
        former = {each: signal.signal(each, self.handle_exit) for each in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for each, handler in former.items():
                signal.signal(each, handler)
