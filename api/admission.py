"""Which request is worked on next, while more have come than a process can answer at once.

A loop that works on everything at once answers everything late: what takes ten milliseconds by itself waits
for all the others at each of its steps. A few are worked on at a time, and of those that wait short reads,
which somebody looks at a page for, come before what moves content or changes something.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from operator import attrgetter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.openai_compatible.errors import PREFIX as OPENAI_PREFIX
from api.problems import problem_response
from muniment.errors import TooManyRequests
from muniment.telemetry import metrics

TURN_SECONDS = 0.25
"""Who works for longer waits for something else, such as a model, and goes on beside the others."""
IN_A_ROW = 6
"""So many overtake who came before them, at most."""


class Rank(IntEnum):
    """What comes first, among those that wait."""

    READ = 0
    CONTENT = 1
    CHANGE = 2


@dataclass(frozen=True)
class _Waiting:
    place: "asyncio.Future[None]"
    rank: Rank
    number: int


class Places:
    """A process's places: first come, first served within a rank. One place is kept for reads, and nobody
    waits for ever, since after every few who overtook others the one that came first is served.

    `at_once`: how many are worked on; `waiting_most`: how many wait for it, beyond which they are refused.
    """

    def __init__(self, at_once: int = 3, waiting_most: int = 2000) -> None:
        self._free = at_once
        self._free_for_others = max(1, at_once - 1)
        self._waiting_most = waiting_most
        self._waiting: dict[Rank, deque[_Waiting]] = {rank: deque() for rank in Rank}
        self._came = count()
        self._overtook = 0

    def let_in(self) -> None:
        """Raises TooManyRequests when too many wait already."""
        if sum(map(len, self._waiting.values())) >= self._waiting_most:
            raise TooManyRequests("more requests wait for this process than it can answer soon")

    async def take(self, rank: Rank) -> None:
        """Wait for a place, to be given back once. Who is cancelled meanwhile has none."""
        place = asyncio.get_running_loop().create_future()
        self._waiting[rank].append(_Waiting(place, rank, next(self._came)))
        self._hand_out()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give_back(rank)
            raise

    def give_back(self, rank: Rank) -> None:
        self._free += 1
        if rank is not Rank.READ:
            self._free_for_others += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free > 0 and (chosen := self._next()) is not None:
            self._free -= 1
            if chosen.rank is not Rank.READ:
                self._free_for_others -= 1
            chosen.place.set_result(None)

    def _next(self) -> _Waiting | None:
        for waiting in self._waiting.values():
            while waiting and waiting[0].place.done():  # given up
                waiting.popleft()
        heads = [
            waiting[0]
            for rank, waiting in self._waiting.items()
            if waiting and (rank is Rank.READ or self._free_for_others > 0)
        ]
        if not heads:
            return None
        first = min(heads, key=attrgetter("number"))
        chosen = heads[0] if self._overtook < IN_A_ROW else first
        self._overtook = 0 if chosen is first else self._overtook + 1
        return self._waiting[chosen.rank].popleft()


class _Turn:
    """One request's place, for as long as it needs one."""

    def __init__(self, places: Places, rank: Rank) -> None:
        self._places = places
        self._rank = rank
        self._has_place = False
        self._end: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        began = time.perf_counter()
        await self._places.take(self._rank)
        self._has_place = True
        self._end = asyncio.get_running_loop().call_later(TURN_SECONDS, self.end)
        metrics.admission_seconds.labels(self._rank.name.lower()).observe(
            time.perf_counter() - began
        )

    def end(self) -> None:
        """Gives the place back, where it still has one."""
        if self._has_place:
            self._has_place = False
            self._places.give_back(self._rank)
        if self._end is not None:
            self._end.cancel()


class Admission:
    """ASGI middleware. A place is given back when the answer begins, while a body is waited for, and when a
    turn has lasted long; 429 where too many wait. Probes, metrics and WebSockets wait for none."""

    def __init__(self, app: ASGIApp, places: Places) -> None:
        self._app = app
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rank = rank_of(scope)
        if rank is None:
            await self._app(scope, receive, send)
            return
        try:
            self._places.let_in()
        except TooManyRequests as error:
            await problem_response(error)(scope, receive, send)
            return
        turn = _Turn(self._places, rank)
        body_is_whole = scope["method"] in _WITHOUT_BODY

        async def receive_without_place() -> Message:
            nonlocal body_is_whole
            if body_is_whole:
                return await receive()
            turn.end()
            message = await receive()
            if not message.get("more_body", False):
                body_is_whole = True
                await turn.begin()
            return message

        async def send_without_place(message: Message) -> None:
            if message["type"] == "http.response.start":
                turn.end()
            await send(message)

        await turn.begin()
        try:
            await self._app(scope, receive_without_place, send_without_place)
        finally:
            turn.end()


_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})
_OF_CONTENT = ("/content", "/events", "/text", "/export", "/sealed", "/archive")
_QUESTIONS = ("/v1/search", "/v1/query", "/search", "/chat/completions")


def rank_of(scope: Scope) -> Rank | None:
    """None for what waits for no turn."""
    if scope["type"] != "http" or scope["method"] == "OPTIONS":
        return None
    path = str(scope["path"])
    if not path.startswith(("/v1/", f"{OPENAI_PREFIX}/", "/s/")):
        return None
    if path.endswith(_OF_CONTENT):
        return Rank.CONTENT
    if scope["method"] in ("GET", "HEAD") or path.endswith(_QUESTIONS):
        return Rank.READ
    return Rank.CHANGE
