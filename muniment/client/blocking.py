"""Carries flows out synchronously."""

import time
from collections.abc import Iterator

import httpx

from muniment.client.actions import (
    IO,
    Deliver,
    Exchange,
    Flow,
    Item,
    Open,
    Pause,
    ReadChunk,
    ReadRest,
    Result,
    Stream,
)


class Blocking:
    """One connection pool; `run` returns a flow's result, `iterate` what it delivers."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def close(self) -> None:
        self._client.close()

    def run(self, flow: Flow[Result]) -> Result:
        connection = _Connection(self._client)
        error: httpx.TransportError | None = None
        try:
            while True:
                try:
                    action = flow.throw(error) if error else next(flow)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                error = connection.perform(action)
        finally:
            flow.close()
            connection.close()

    def iterate(self, stream: Stream[Item]) -> Iterator[Item]:
        connection = _Connection(self._client)
        error: httpx.TransportError | None = None
        try:
            while True:
                try:
                    action = stream.throw(error) if error else next(stream)
                except StopIteration:
                    return
                error = None
                if isinstance(action, Deliver):
                    yield action.item
                else:
                    error = connection.perform(action)
        finally:
            stream.close()
            connection.close()


class _Connection:
    """At most one opened response."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def perform(self, action: IO) -> httpx.TransportError | None:
        """Fills the action's result in; returns the transport error that prevented it."""
        try:
            self._perform(action)
        except httpx.TransportError as error:
            return error
        return None

    def _perform(self, action: IO) -> None:
        if isinstance(action, Exchange):
            action.response = self._client.send(action.request)
        elif isinstance(action, Open):
            self.close()
            action.response = self._response = self._client.send(action.request, stream=True)
            self._chunks = self._response.iter_bytes()
        elif isinstance(action, ReadRest):
            if self._response is not None:
                self._response.read()
        elif isinstance(action, ReadChunk):
            action.chunk = next(self._chunks, None)
        elif isinstance(action, Pause):
            time.sleep(action.seconds)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
