"""Carries flows out asynchronously."""

import asyncio
from collections.abc import AsyncIterator

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

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


class Awaiting:
    """One connection pool; `run` returns a flow's result, `iterate` what it delivers."""

    def __init__(self, client: httpx.AsyncClient, sockets: SocketOptions | None = None) -> None:
        self._client = client
        self._sockets = sockets or SocketOptions()

    def connection(self) -> "Connection":
        """To be closed, where several streams go over it."""
        return Connection(self._client, self._sockets)

    async def close(self) -> None:
        await self._client.aclose()

    async def run(self, flow: Flow[Result]) -> Result:
        connection = self.connection()
        error: httpx.TransportError | None = None
        try:
            while True:
                try:
                    action = flow.throw(error) if error else next(flow)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                error = await connection.perform(action)
        finally:
            flow.close()
            await connection.close()

    async def iterate(
        self, stream: Stream[Item], over: "Connection | None" = None
    ) -> AsyncIterator[Item]:
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
                    error = await connection.perform(action)
        finally:
            stream.close()
            if over is None:
                await connection.close()


class Connection:
    """At most one opened response, and one WebSocket."""

    def __init__(self, client: httpx.AsyncClient, sockets: SocketOptions) -> None:
        self._client = client
        self._sockets = sockets
        self._socket: ClientConnection | None = None
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def perform(self, action: IO) -> httpx.TransportError | None:
        """Fills the action's result in; returns the transport error that prevented it."""
        try:
            await self._perform(action)
        except httpx.TransportError as error:
            return error
        return None

    async def _perform(self, action: IO) -> None:
        if isinstance(action, Exchange):
            action.response = await self._client.send(action.request)
        elif isinstance(action, Open):
            await self.close()
            action.response = await self._client.send(action.request, stream=True)
            self._response = action.response
            self._chunks = action.response.aiter_bytes()
        elif isinstance(action, ReadRest):
            if self._response is not None:
                await self._response.aread()
        elif isinstance(action, ReadChunk):
            action.chunk = await anext(self._chunks, None) if self._chunks else None
        elif isinstance(action, Pause):
            await asyncio.sleep(action.seconds)
        elif isinstance(action, OpenSocket):
            await self._open_socket(action)
        elif isinstance(action, SendText | ReceiveText):
            await self._speak(action)

    async def _open_socket(self, action: OpenSocket) -> None:
        await self._close_socket()
        try:
            self._socket = await connect(
                action.url,
                additional_headers=dict(action.headers),
                ssl=self._sockets.context(action.url),
                proxy=self._sockets.proxy,
                open_timeout=action.timeout_seconds,
                max_size=MOST_MESSAGE_BYTES,
            )
        except InvalidStatus as error:
            action.refused = refusal(error)
        except (WebSocketException, OSError) as error:
            raise transport_error(error, is_opening=True) from error

    async def _speak(self, action: SendText | ReceiveText) -> None:
        assert self._socket is not None  # noqa: S101 - the flow opened it
        try:
            if isinstance(action, SendText):
                await self._socket.send(action.text)
            else:
                action.text = str(await self._socket.recv())
        except (WebSocketException, OSError) as error:
            raise transport_error(error, is_opening=False) from error

    async def _close_socket(self) -> None:
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def close(self) -> None:
        await self._close_socket()
        if self._response is not None:
            await self._response.aclose()
            self._response = None
