"""Carries flows out synchronously."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from muniment.client.actions import (
    IO,
    Deliver,
    Exchange,
    Flow,
    Item,
    Open,
    OpenSocket,
    Pause,
    ReadChunk,
    ReadRest,
    ReceiveText,
    Result,
    SendText,
    Stream,
)
from muniment.client.web_sockets import (
    MOST_MESSAGE_BYTES,
    SocketOptions,
    refusal,
    transport_error,
)


class Blocking:
    """One connection pool; `run` returns a flow's result, `iterate` what it delivers."""

    def __init__(self, client: httpx.Client, sockets: SocketOptions | None = None) -> None:
        self._client = client
        self._sockets = sockets or SocketOptions()

    def connection(self) -> "Connection":
        """To be closed, where several streams go over it."""
        return Connection(self._client, self._sockets)

    def close(self) -> None:
        self._client.close()

    def run(self, flow: Flow[Result]) -> Result:
        connection = self.connection()
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

    def iterate(self, stream: Stream[Item], over: "Connection | None" = None) -> Iterator[Item]:
        """Over a connection of its own, unless one is given."""
        connection = over or self.connection()
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
            if over is None:
                connection.close()


class Connection:
    """At most one opened response, and one WebSocket."""

    def __init__(self, client: httpx.Client, sockets: SocketOptions) -> None:
        self._client = client
        self._sockets = sockets
        self._opened = ExitStack()
        self._socket: ClientConnection | None = None
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
        elif isinstance(action, OpenSocket):
            self._open_socket(action)
        elif isinstance(action, SendText | ReceiveText):
            self._speak(action)

    def _open_socket(self, action: OpenSocket) -> None:
        self._close_socket()
        try:
            self._socket = self._opened.enter_context(
                connect(
                    action.url,
                    additional_headers=dict(action.headers),
                    ssl=self._sockets.context(action.url),
                    proxy=self._sockets.proxy,
                    open_timeout=action.timeout_seconds,
                    max_size=MOST_MESSAGE_BYTES,
                )
            )
        except InvalidStatus as error:
            action.refused = refusal(error)
        except (WebSocketException, OSError) as error:
            raise transport_error(error, is_opening=True) from error

    def _speak(self, action: SendText | ReceiveText) -> None:
        assert self._socket is not None  # noqa: S101 - the flow opened it
        try:
            if isinstance(action, SendText):
                self._socket.send(action.text)
            else:
                action.text = str(self._socket.recv())
        except (WebSocketException, OSError) as error:
            raise transport_error(error, is_opening=False) from error

    def _close_socket(self) -> None:
        self._opened.close()
        self._socket = None

    def close(self) -> None:
        self._close_socket()
        if self._response is not None:
            self._response.close()
            self._response = None
