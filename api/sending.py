"""Sending to clients that may stop reading."""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import Message, Send

SEND_SECONDS = 60.0
"""Longest wait for a client to take the next piece: whoever stops reading gives its place to others."""


def in_time(send: Send) -> Send:
    """`send`, which takes a client that lets it wait too long for one that has left."""

    async def send_in_time(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)
        except TimeoutError:
            raise ClientDisconnect from None

    return send_in_time
