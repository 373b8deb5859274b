"""Takes members from the engine, piece by piece, into the sealed store."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection

from activities.members.calls import MemberPiece
from activities.sandbox import decoded
from muniment.objects import SealedBlob

Seal = Callable[[AsyncGenerator[bytes, None]], Awaitable[SealedBlob]]
Keep = Callable[[int, str, SealedBlob], Awaitable[None]]
_PIECES_AHEAD = 4


class MemberReceiver:
    """One member at a time; the engine waits while the store is slower. Members in `known` are
    passed over, abandoned ones discarded. `stop` ends a transfer that the engine left open."""

    def __init__(self, seal: Seal, keep: Keep, known: Collection[int]) -> None:
        self._seal = seal
        self._keep = keep
        self._known = known
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_PIECES_AHEAD)
        self._sealing: asyncio.Future[SealedBlob] | None = None

    async def take(self, frame: bytes) -> None:
        """One MemberPiece as JSON; raises EngineCrashed for anything else."""
        piece = decoded(MemberPiece, frame)
        if piece.ordinal in self._known:
            return
        if piece.is_abandoned:
            await self.stop()
            return
        if self._sealing is None:
            self._pieces = asyncio.Queue(_PIECES_AHEAD)
            self._sealing = asyncio.ensure_future(self._seal(self._stream(self._pieces)))
        if piece.content:
            await self._hand_over(self._sealing, piece.content)
        if piece.is_last:
            await self._hand_over(self._sealing, None)
            sealed = await self._sealing
            self._sealing = None
            await self._keep(piece.ordinal, piece.path, sealed)

    async def stop(self) -> None:
        """Nothing stays of a member that did not come to its end."""
        if self._sealing is not None:
            sealing, self._sealing = self._sealing, None
            sealing.cancel()
            await asyncio.wait([sealing])

    async def _hand_over(self, sealing: "asyncio.Future[SealedBlob]", piece: bytes | None) -> None:
        """Waits for a place in the queue, or raises what the store raised meanwhile."""
        putting = asyncio.ensure_future(self._pieces.put(piece))
        waited: list[asyncio.Future[None] | asyncio.Future[SealedBlob]] = [putting, sealing]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()
            await sealing

    @staticmethod
    async def _stream(pieces: "asyncio.Queue[bytes | None]") -> AsyncGenerator[bytes, None]:
        while (piece := await pieces.get()) is not None:
            yield piece
