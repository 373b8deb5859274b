"""Which request an API process works on next."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from api.admission import IN_A_ROW, TURN_SECONDS, Admission, Places, Rank, rank_of
from muniment.errors import TooManyRequests

READ, CONTENT, CHANGE = Rank


class _Crowd:
    """Requests that wait for places, and in which order they got one."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.served: list[int] = []
        self.ranks: list[Rank] = []
        self.waiting: dict[int, asyncio.Task[None]] = {}

    async def come(self, rank: Rank) -> int:
        number = len(self.ranks)
        self.ranks.append(rank)
        self.waiting[number] = asyncio.create_task(self._wait(number, rank))
        await _settle()
        return number

    async def leave(self, number: int) -> None:
        self.places.give_back(self.ranks[number])
        await _settle()

    async def give_up(self, number: int) -> None:
        self.waiting.pop(number).cancel()
        await _settle()

    async def _wait(self, number: int, rank: Rank) -> None:
        await self.places.take(rank)
        self.served.append(number)
        del self.waiting[number]


async def _settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_reads_come_first_and_one_place_is_theirs() -> None:
    crowd = _Crowd(Places(at_once=2))
    upload, other_upload, download = [await crowd.come(rank) for rank in (CHANGE, CHANGE, CONTENT)]
    assert crowd.served == [upload], "the second place is kept for reads"
    read, second_read = await crowd.come(READ), await crowd.come(READ)
    assert crowd.served == [upload, read]
    await crowd.leave(upload)
    assert crowd.served == [upload, read, second_read]
    await crowd.leave(read)
    assert crowd.served[3:] == [download], "what moves content comes before what changes something"
    await crowd.leave(download)
    assert crowd.served[4:] == [other_upload]


async def test_nobody_waits_for_ever() -> None:
    crowd = _Crowd(Places(at_once=1))
    working = await crowd.come(READ)
    upload = await crowd.come(CHANGE)
    for _ in range(3 * IN_A_ROW):
        await crowd.come(READ)
        await crowd.leave(working)
        working = crowd.served[-1]
        if working == upload:
            break
    assert crowd.served.index(upload) == IN_A_ROW + 1


async def test_too_many_are_refused() -> None:
    places = Places(at_once=1, waiting_most=2)
    crowd = _Crowd(places)
    for _ in range(3):
        places.let_in()
        await crowd.come(READ)
    with pytest.raises(TooManyRequests):
        places.let_in()
    await crowd.give_up(2)
    await crowd.leave(0)
    places.let_in()


@given(st.lists(st.tuples(st.sampled_from(["come", "leave", "give up"]), st.integers(0, 30))))
def test_places_are_never_lost_nor_given_twice(acts: list[tuple[str, int]]) -> None:
    at_once = 3

    async def play() -> None:
        crowd = _Crowd(Places(at_once))
        working: list[int] = []
        for act, choice in acts:
            if act == "come":
                await crowd.come(Rank(choice % len(Rank)))
            elif act == "leave" and working:
                await crowd.leave(working.pop(choice % len(working)))
            elif act == "give up" and crowd.waiting:
                await crowd.give_up(sorted(crowd.waiting)[choice % len(crowd.waiting)])
            working += [number for number in crowd.served if number not in known]
            known.update(crowd.served)
            others = sum(crowd.ranks[number] is not READ for number in working)
            assert len(working) <= at_once
            assert others <= at_once - 1
            reads_wait = any(crowd.ranks[number] is READ for number in crowd.waiting)
            assert not (reads_wait and len(working) < at_once)
            assert not (crowd.waiting and len(working) < at_once and others < at_once - 1)
        for rank in Rank:
            of_rank = [number for number in crowd.served if crowd.ranks[number] is rank]
            assert all(first < second for first, second in pairwise(of_rank))
        for task in crowd.waiting.values():
            task.cancel()

    known: set[int] = set()
    asyncio.run(play())


async def test_whoever_is_cancelled_with_a_place_in_hand_gives_it_back() -> None:
    places = Places(at_once=1)
    await places.take(READ)
    waits = asyncio.create_task(places.take(READ))
    await _settle()
    places.give_back(READ)  # it has the place now, and has not been told yet
    waits.cancel()
    await _settle()
    async with asyncio.timeout(1):
        await places.take(READ)


App = Callable[[Scope, Receive, Send], Awaitable[None]]


def _scope(method: str = "GET", path: str = "/v1/files") -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": []}


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _ignored(message: Message) -> None:
    del message


async def _is_free(places: Places) -> bool:
    try:
        async with asyncio.timeout(TURN_SECONDS / 4):
            await places.take(READ)
    except TimeoutError:
        return False
    places.give_back(READ)
    return True


async def test_a_place_is_given_back_while_an_answer_is_sent() -> None:
    places, go_on = Places(at_once=1), asyncio.Event()
    states = []

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        states.append(await _is_free(places))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        states.append(await _is_free(places))
        await go_on.wait()

    request = asyncio.create_task(Admission(streams, places)(_scope(), _nothing, _ignored))
    await asyncio.sleep(TURN_SECONDS)
    go_on.set()
    await request
    assert states == [False, True]
    assert await _is_free(places)


async def test_a_place_is_given_back_while_a_body_is_waited_for() -> None:
    places, arrives = Places(at_once=1), asyncio.Event()
    states = []

    async def slow_body() -> Message:
        await arrives.wait()
        return await _nothing()

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        states.append(await _is_free(places))

    application = Admission(reads, places)
    request = asyncio.create_task(application(_scope("POST"), slow_body, _ignored))
    await _settle()
    assert await _is_free(places)
    arrives.set()
    await request
    assert states == [False]
    assert await _is_free(places)


async def test_a_turn_is_over_after_a_while_and_after_an_error() -> None:
    places, ends = Places(at_once=1), asyncio.Event()

    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        await ends.wait()
        raise ValueError("late")

    request = asyncio.create_task(Admission(fails_late, places)(_scope(), _nothing, _ignored))
    await _settle()
    assert not await _is_free(places)
    await asyncio.sleep(TURN_SECONDS)
    assert await _is_free(places)
    ends.set()
    with pytest.raises(ValueError, match="late"):
        await request
    await places.take(READ)
    assert not await _is_free(places), "a place was given back twice"


async def test_probes_pass_and_the_rest_is_told_when_to_come_again() -> None:
    places = Places(at_once=1, waiting_most=1)
    await places.take(READ)
    waits = asyncio.create_task(places.take(READ))
    await _settle()
    answers: list[Message] = []

    async def remember(message: Message) -> None:
        answers.append(message)

    async def answers_well(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    application = Admission(answers_well, places)
    await application(_scope(path="/healthz"), _nothing, remember)
    await application(_scope(), _nothing, remember)
    statuses = [each["status"] for each in answers if each["type"] == "http.response.start"]
    assert statuses == [204, 429]
    assert any(name == b"retry-after" for name, _ in answers[1]["headers"])
    waits.cancel()


@pytest.mark.parametrize(
    ("method", "path", "rank"),
    [
        ("GET", "/v1/files", READ),
        ("POST", "/v1/search", READ),
        ("POST", "/openai/v1/chat/completions", READ),
        ("GET", "/v1/files/file_1/content", CONTENT),
        ("GET", "/v1/jobs/job_1/events", CONTENT),
        ("GET", "/s/token/content", CONTENT),
        ("POST", "/v1/files", CHANGE),
        ("DELETE", "/v1/files/file_1", CHANGE),
        ("PATCH", "/v1/uploads/upload_1", CHANGE),
        ("GET", "/readyz", None),
        ("GET", "/metrics", None),
        ("OPTIONS", "/v1/uploads", None),
    ],
)
def test_what_comes_first(method: str, path: str, rank: Rank | None) -> None:
    assert rank_of(_scope(method, path)) is rank


def test_a_socket_waits_for_no_place() -> None:
    assert rank_of({"type": "websocket", "path": "/v1/conversations/socket"}) is None
