"""Two hundred clients that upload, list, download and look on, each with a pause for thought: no
request may fail, no event may be lost, and a list may not keep them waiting."""

import asyncio
import math
import ssl
import statistics
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx
import psutil

from bench.corpus import one_page_text
from bench.costs import costs, cpu_seconds
from bench.doors import BareList, bare_list
from bench.event_stream import Viewer
from bench.results import Result, note
from bench.stack import Stack
from muniment.client import File
from muniment.task_group import task_group

CLIENTS = 200
SECONDS = 60.0
THINK_SECONDS = 2.0
MOST_TIMES_THE_IDLE_MEDIAN = 20.0
_ACTIONS = ("list", "download", "watch", "list", "upload", "download", "list", "download", "list")
"""What a client does in turn; each begins somewhere else. Most requests read, as users do."""
_OPENED_WITHIN_SECONDS = 10.0
"""A stream that has shown nothing until then counts as broken."""
_WATCH_SECONDS = 5.0
_FIRST_FILES = 50
_IDLE_LISTS = 100
_BARE_PAUSE_SECONDS = 0.1
_BARE_WARM_UP_SECONDS = 1.0
_HTTP_SECONDS = 60
_FOLLOWED_AT_ONCE = 20
_SETTLE_SECONDS = 900
"""Until every job that was begun is over."""


@dataclass
class Tally:
    """What happened to all clients together."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    """Requests without an answer, and answers that are not what was uploaded."""
    list_seconds: list[float] = field(default_factory=list)
    opened_seconds: list[float] = field(default_factory=list)
    """Until a stream's first event."""
    viewers: list[Viewer] = field(default_factory=list)

    def note_broken(self, action: str, error: Exception) -> None:
        note(f"clients: {action}: {type(error).__name__} {error}")
        self.broken += 1


@dataclass
class _Upload:
    file_id: str
    job_id: str
    content: bytes


class _Client:
    """One of them, with a connection of its own: a pool of two hundred is gone through twice for each
    request, which took more of a core than what was to be measured."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient, numbers: "count[int]") -> None:
        self.tally = Tally()
        self.uploads: list[_Upload] = []
        """Of others too, as far as they were there before it came."""
        self._stack = stack
        self._http = http
        self._numbers = numbers

    async def run(self, place: int, until: float) -> None:
        """From another moment and another action than its neighbours, until that time."""
        await asyncio.sleep(THINK_SECONDS * place / CLIENTS)
        for step in count(place):
            if time.perf_counter() >= until:
                return
            await self.act(_ACTIONS[step % len(_ACTIONS)])
            await asyncio.sleep(THINK_SECONDS)

    async def act(self, action: str) -> None:
        try:
            if action == "list":
                await self.list_files()
            elif action == "upload":
                await self.upload()
            elif action == "download":
                await self._download(self.uploads[-1])
            else:
                await self._watch(self.uploads[-1].job_id)
        except (httpx.HTTPError, OSError, RuntimeError) as error:
            self.tally.note_broken(action, error)

    async def list_files(self) -> None:
        started = time.perf_counter()
        answer = await self._http.get("/v1/files", params={"limit": "20"})
        self.tally.list_seconds.append(time.perf_counter() - started)
        self._count(answer)

    async def upload(self) -> None:
        number = next(self._numbers)
        content = one_page_text(number)
        answer = await self._http.post(
            "/v1/files",
            params={"name": f"client-{number}.txt"},
            content=content,
            headers={"Content-Type": "text/plain"},
        )
        self._count(answer)
        if answer.is_success:
            file = File.model_validate_json(answer.content)
            if file.job is None:
                raise RuntimeError("the upload made no job")
            self.uploads.append(_Upload(str(file.id), str(file.job.id), content))

    async def _download(self, upload: _Upload) -> None:
        answer = await self._http.get(f"/v1/files/{upload.file_id}/content")
        self._count(answer)
        if answer.is_success and answer.content != upload.content:
            raise RuntimeError("the content is another")

    async def _watch(self, job_id: str) -> None:
        """For a while; what is left is followed when the minute is over."""
        viewer = Viewer(job_id)
        self.tally.viewers.append(viewer)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(_OPENED_WITHIN_SECONDS) as limit:
                async for _ in watch_to_the_end(self._stack, viewer):
                    if len(viewer.seen) == 1:
                        self.tally.opened_seconds.append(time.perf_counter() - started)
                        limit.reschedule(asyncio.get_running_loop().time() + _WATCH_SECONDS)
        except TimeoutError:
            if not viewer.seen:
                raise

    def _count(self, answer: httpx.Response) -> None:
        self.tally.statuses[answer.status_code] += 1


async def watch_to_the_end(stack: Stack, viewer: Viewer) -> AsyncGenerator[str, None]:
    """The names of the events. Comes back whenever the stream ends before the job."""
    while not viewer.is_over:
        async with aclosing(viewer.look(stack)) as events:
            async for event in events:
                yield event


async def measure_clients(stack: Stack) -> bool:
    """Prints what they met; whether every limit was held."""
    numbers = count(1)
    async with AsyncExitStack() as opened:
        context = ssl.create_default_context()
        first, *clients = [
            _Client(stack, await opened.enter_async_context(_connection(stack, context)), numbers)
            for _ in range(1 + CLIENTS)
        ]
        idle = await _idle_median(stack, first)
        note(f"clients: {CLIENTS} clients for {SECONDS:g} s")
        for place, client in enumerate(clients):
            client.uploads.append(first.uploads[place % len(first.uploads)])
        with bare_list(stack.database) as bare:
            await ask_bare(bare, time.perf_counter() + _BARE_WARM_UP_SECONDS)
            async with costs(stack.home, "clients"), task_group() as tasks:
                until = time.perf_counter() + SECONDS
                beside = tasks.create_task(ask_bare(bare, until))
                for place, client in enumerate(clients):
                    tasks.create_task(client.run(place, until))
    _print_bare(beside.result())
    await _settle(stack, clients)
    uploads = sum(len(client.uploads) - 1 for client in clients)
    return judge([client.tally for client in clients], uploads, idle)


@asynccontextmanager
async def _connection(
    stack: Stack, context: ssl.SSLContext
) -> AsyncGenerator[httpx.AsyncClient, None]:
    """The context is shared: each of its own takes longer to make than a request."""
    async with httpx.AsyncClient(
        base_url=stack.api,
        headers={"Authorization": f"Bearer {stack.key}"},
        limits=httpx.Limits(max_connections=1),
        timeout=_HTTP_SECONDS,
        verify=context,
        trust_env=False,
    ) as http:
        yield http


async def _idle_median(stack: Stack, client: _Client) -> float:
    """Seconds that a list takes while nothing else happens, once some files are there."""
    for _ in range(_FIRST_FILES):
        await client.upload()
    await _settle(stack, [client])
    for _ in range(_IDLE_LISTS):
        await client.list_files()
    return statistics.median(client.tally.list_seconds)


@dataclass
class BareTally:
    """What happened to the bare lists, and the seconds of a core that their server took."""

    list_seconds: list[float] = field(default_factory=list)
    broken: int = 0
    cpu_seconds: float = 0.0


async def ask_bare(bare: BareList, until: float) -> BareTally:
    """A list after the other until that time. How long they take says how soon the machine serves a
    process that sleeps nearly always, and nothing of one whose loop is full."""
    tally, process = BareTally(), psutil.Process(bare.process_id)
    before = cpu_seconds(process)
    async with httpx.AsyncClient(timeout=_HTTP_SECONDS, trust_env=False) as http:
        while time.perf_counter() < until:
            started = time.perf_counter()
            try:
                (await http.get(bare.address)).raise_for_status()
            except httpx.HTTPError as error:
                note(f"clients: bare list: {type(error).__name__}")
                tally.broken += 1
            else:
                tally.list_seconds.append(time.perf_counter() - started)
            await asyncio.sleep(_BARE_PAUSE_SECONDS)
    tally.cpu_seconds = cpu_seconds(process) - before
    return tally


def _print_bare(tally: BareTally) -> None:
    _print_lists("clients.bare_list", tally.list_seconds)
    asked = len(tally.list_seconds) + tally.broken
    Result("clients.bare_list_cpu", tally.cpu_seconds / max(asked, 1), "s").print()
    Result("clients.bare_broken", tally.broken, "count").print()


def _print_lists(name: str, seconds: Sequence[float], idle: float | None = None) -> float:
    """Prints p99 and median; the p99, infinite where too few were answered to tell."""
    if len(seconds) < 2:
        note(f"{name}: {len(seconds)} answered, which tells nothing")
        return math.inf
    p99 = statistics.quantiles(seconds, n=100)[-1]
    Result(f"{name}_p99", p99, "s", peer=idle).print()
    Result(f"{name}_median", statistics.median(seconds), "s", peer=idle).print()
    return p99


async def _settle(stack: Stack, clients: Sequence[_Client]) -> None:
    """Follows every stream that was left, and every job that nobody looked at, to the job's end."""
    for client in clients:
        watched = {viewer.job_id for viewer in client.tally.viewers}
        new = {upload.job_id for upload in client.uploads} - watched
        client.tally.viewers += map(Viewer, sorted(new))
    pairs = [(client.tally, each) for client in clients for each in client.tally.viewers]
    left = [(tally, viewer) for tally, viewer in pairs if not viewer.is_over]
    note(f"clients: until {len(left)} streams are over")
    window = asyncio.Semaphore(_FOLLOWED_AT_ONCE)

    async def follow(tally: Tally, viewer: Viewer) -> None:
        async with window:
            await _come_back(stack, tally, viewer)

    async with asyncio.timeout(_SETTLE_SECONDS), task_group() as tasks:
        for tally, viewer in left:
            tasks.create_task(follow(tally, viewer))


async def _come_back(stack: Stack, tally: Tally, viewer: Viewer) -> None:
    """To the job's end; who is refused tries again, and is counted."""
    while not viewer.is_over:
        try:
            async for _ in watch_to_the_end(stack, viewer):
                pass
        except (OSError, RuntimeError) as error:
            tally.note_broken("watch", error)
            await asyncio.sleep(THINK_SECONDS)


def judge(tallies: Sequence[Tally], uploads: int, idle: float) -> bool:
    """Prints what came of it; `idle` is the seconds of a list when nothing else happens."""
    statuses: Counter[int] = sum((tally.statuses for tally in tallies), Counter())
    lists = [seconds for tally in tallies for seconds in tally.list_seconds]
    viewers = [viewer for tally in tallies for viewer in tally.viewers]
    lost = sum(viewer.lost for viewer in viewers)
    refused = sum(number for status, number in statuses.items() if status >= 400)
    note(f"clients: answers by status: {dict(sorted(statuses.items()))}")
    broken = sum(tally.broken for tally in tallies)
    p99 = _print_lists("clients.list", lists, idle)
    opened = sorted(seconds for tally in tallies for seconds in tally.opened_seconds)
    if opened:
        Result("clients.slowest_snapshot", opened[-1], "s").print()
    Result("clients.requests", statuses.total(), "count").print()
    Result("clients.uploads", uploads, "count").print()
    Result("clients.streams", len(viewers), "count").print()
    Result("clients.refused", refused, "count").print()
    Result("clients.broken", broken, "count").print()
    Result("clients.lost_events", lost, "count").print()
    is_quick = p99 < MOST_TIMES_THE_IDLE_MEDIAN * idle
    return is_quick and refused == 0 and broken == 0 and lost == 0
