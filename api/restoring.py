"""Nobody is served while the database shows what was erased: it was restored from before the erasure."""

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from api.openai_compatible.errors import PREFIX as OPENAI_PREFIX
from api.problems import problem_response
from db.replayed_erasures import ErasureReplay
from muniment.errors import ErasuresToRepeat, MunimentError

LOOKED_AGAIN_SECONDS = 2.0


class LedgerGate:
    """Shut until the ledger of erasures was held against the database, once for each process."""

    def __init__(self, replay: ErasureReplay) -> None:
        self._replay = replay
        self._is_open = False
        self._shut_until = 0.0
        self._looking = asyncio.Lock()

    async def require_open(self) -> None:
        """Raises ErasuresToRepeat while the database shows what was erased, and what keeps from looking."""
        if not self._is_open:
            await self._look()

    async def _look(self) -> None:
        async with self._looking:
            if not self._is_open and time.monotonic() >= self._shut_until:
                self._is_open = not await self._replay.is_behind()
                self._shut_until = time.monotonic() + LOOKED_AGAIN_SECONDS
            if not self._is_open:
                raise ErasuresToRepeat("the database is older than erasures that were carried out")


class Restoring:
    """ASGI middleware: 503 for what serves content, while the gate is shut."""

    def __init__(self, app: ASGIApp, gate: LedgerGate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and _serves(str(scope["path"])):
            try:
                await self._gate.require_open()
            except MunimentError as error:
                await problem_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _serves(path: str) -> bool:
    return path.startswith(("/v1/", f"{OPENAI_PREFIX}/"))
