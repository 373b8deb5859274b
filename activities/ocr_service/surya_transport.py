"""HTTP to a server that is believed little: its answers are bounded in size."""

from collections.abc import AsyncIterator

import httpx

MAXIMUM_ANSWER_BYTES = 16 * 1024 * 1024
"""Twelve thousand tokens, each with its probability, take 2 MB."""


class BoundedTransport(httpx.AsyncHTTPTransport):
    """httpx's own, that raises httpx.ReadError at an answer that is too long or is packed: a packed
    one could be small here and fill the memory when unpacked."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx.ReadError("a packed answer", request=request)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Bounded(response.stream)
        return response


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for piece in self._stream:
            received += len(piece)
            if received > MAXIMUM_ANSWER_BYTES:
                raise httpx.ReadError("an answer without end")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
