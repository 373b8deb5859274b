"""The one seam between this client and the network.

A *flow* is a generator that yields actions and finds their results on them; it holds all that the
client knows of the API (retries, resumption, parsing) and does no I/O itself. `blocking.py` and
`awaiting.py` carry the actions out over httpx, one synchronously and one asynchronously. A
transport error is thrown into the flow at the action that failed.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import httpx

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Exchange:
    """Send a request and read the whole response."""

    request: httpx.Request
    response: httpx.Response = field(init=False)


@dataclass
class Open:
    """Send a request and read only the response's head; closes the one opened before."""

    request: httpx.Request
    response: httpx.Response = field(init=False)


@dataclass
class ReadRest:
    """Read the rest of the opened response, so that its `content` can be used."""


@dataclass
class ReadChunk:
    """Read some bytes of the opened response; None at its end."""

    chunk: bytes | None = None


@dataclass
class OpenSocket:
    """Open a WebSocket; closes the one opened before. `refused`: what was answered instead."""

    url: str
    headers: Mapping[str, str]
    timeout_seconds: float
    refused: httpx.Response | None = None


@dataclass
class SendText:
    """Send a message over the opened WebSocket."""

    text: str


@dataclass
class ReceiveText:
    """Wait for a message over the opened WebSocket, for as long as it stays open."""

    text: str = field(init=False)


@dataclass
class Pause:
    """Wait before going on."""

    seconds: float


@dataclass
class Deliver(Generic[Item]):
    """Hand an item to whoever iterates over the flow."""

    item: Item


IO = Exchange | Open | ReadRest | ReadChunk | OpenSocket | SendText | ReceiveText | Pause
Flow = Generator[IO, None, Result]
"""A flow that ends with a result."""
Stream = Generator[IO | Deliver[Item], None, None]
"""A flow that delivers items."""
