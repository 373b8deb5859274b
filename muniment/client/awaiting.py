"""Carries flows out asynchronously."""

import asyncio
from collections.abc import AsyncIterator

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


class Awaiting:
    """One connection pool; `run` returns a flow's result, `iterate` what it delivers."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def close(self) -> None:
        await self._client.aclose()

    async def run(self, flow: Flow[Result]) -> Result:
        connection = _Connection(self._client)
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

    async def iterate(self, stream: Stream[Item]) -> AsyncIterator[Item]:
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
                    error = await connection.perform(action)
        finally:
            stream.close()
            await connection.close()


class _Connection:
    """At most one opened response."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
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

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()
            self._response = None
