"""Uploads and downloads of 100 MiB beside a bare server that neither seals nor notes anything."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.doors import Door, Refused, bare_door, door_of, sha256
from bench.memory import watched_api
from bench.results import Result, note
from bench.stack import Stack
from muniment.client import AsyncMuniment, File
from muniment.task_group import task_group

_MEBIBYTE = 1024 * 1024
_SIZE_BYTES = 100 * _MEBIBYTE
_ROUNDS = 9
_WARM_UP = 2
"""Rounds that do not count."""
_AT_ONCE = 8
_MOST_SECONDS = 900
"""Until the job of an upload is over, on a machine with much else to do."""
LEAST_UPLOAD = 0.6
LEAST_DOWNLOAD = 0.5
MOST_GROWTH_MEBIBYTES = 64.0
"""What the API may own beside what it owned before: for one upload, for one download, for eight
uploads at once; each is of 100 MiB."""


@dataclass
class Times:
    """Seconds of each round, ours and the bare server's."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def speeds(self) -> tuple[float, float]:
        """Both medians in MiB/s, without the first rounds, which load what the others find loaded."""
        size = _SIZE_BYTES / _MEBIBYTE
        ours, bare = (statistics.median(each[_WARM_UP:]) for each in (self.ours, self.bare))
        return size / ours, size / bare


async def measure_transfer(stack: Stack) -> bool:
    """Prints both ratios and the API's memory; whether every limit was held."""
    note(f"transfer: {_ROUNDS} rounds of {_SIZE_BYTES // _MEBIBYTE} MiB up and down")
    door = door_of(stack)
    uploads, downloads = Times(), Times()
    growths: dict[str, float] = {}
    async with AsyncMuniment(home=stack.home) as muniment:
        with (
            tempfile.TemporaryDirectory(prefix="bare-", dir=stack.home) as folder,
            bare_door(Path(folder)) as bare,
            watched_api(stack.home) as peak,
        ):
            for number in range(_ROUNDS):
                await _round(muniment, door, bare, number, uploads, downloads)
        growths["one"] = peak.growth_mebibytes
        with watched_api(stack.home) as peak:
            refused = await _at_once(muniment, door)
        growths["eight"] = peak.growth_mebibytes
    return judge(uploads, downloads, growths, refused)


async def _round(
    muniment: AsyncMuniment, door: Door, bare: Door, number: int, uploads: Times, downloads: Times
) -> None:
    """The same fresh bytes, first up and then down, each server the first in every other round; what
    the upload started is over before the downloads."""
    content = await asyncio.to_thread(os.urandom, _SIZE_BYTES)
    answers: dict[str, bytes] = {}
    # A new file each time, as ours is: one that is written over gets its own pages again, while new pages of
    # a virtual machine may have to come from its host first (decision 0061).
    bare_target = f"/transfer-{number}"

    def upload_ours() -> None:
        answers["ours"] = door.send("POST", f"/v1/files?name=transfer-{number}.bin", content)

    def upload_bare() -> None:
        answers["bare"] = bare.send("PUT", bare_target, content)

    await _in_turn(number, uploads, upload_ours, upload_bare)
    file = File.model_validate_json(answers["ours"])
    expected = await asyncio.to_thread(sha256, content)
    _require((file.sha256 or "").encode() == expected == answers["bare"])
    await _until_over(muniment, file)
    ours, others = bytearray(_SIZE_BYTES), bytearray(_SIZE_BYTES)
    target = f"/v1/files/{file.id}/content"
    await _in_turn(
        number,
        downloads,
        lambda: _require(door.fetch(target, ours) == _SIZE_BYTES),
        lambda: _require(bare.fetch(bare_target, others) == _SIZE_BYTES),
    )
    _require(ours == others == content)


async def _in_turn(
    number: int, times: Times, ours: Callable[[], None], bare: Callable[[], None]
) -> None:
    pairs = [(times.ours, ours), (times.bare, bare)]
    for seconds, act in pairs if number % 2 else reversed(pairs):
        started = time.perf_counter()
        await asyncio.to_thread(act)
        seconds.append(time.perf_counter() - started)


async def _at_once(muniment: AsyncMuniment, door: Door) -> int:
    """How many of so many uploads at once were refused."""
    note(f"transfer: {_AT_ONCE} uploads at once")
    base = await asyncio.to_thread(os.urandom, _SIZE_BYTES - 1)
    accepted: list[File] = []

    def upload(number: int) -> None:
        with suppress(Refused, OSError):
            answer = door.send(
                "POST", f"/v1/files?name=at-once-{number}.bin", bytes([number]) + base
            )
            accepted.append(File.model_validate_json(answer))

    async with task_group() as tasks:
        for number in range(_AT_ONCE):
            tasks.create_task(asyncio.to_thread(upload, number))
    for file in accepted:
        await _until_over(muniment, file)
    return _AT_ONCE - len(accepted)


async def _until_over(muniment: AsyncMuniment, file: File) -> None:
    """However it ends: such content is of no kind that is read."""
    if file.job is None:
        raise RuntimeError("the upload made no job")
    async with asyncio.timeout(_MOST_SECONDS):
        async for _ in muniment.follow(file.job):
            pass


def _require(is_so: bool) -> None:
    if not is_so:
        raise RuntimeError("what came is not what was sent")


def judge(uploads: Times, downloads: Times, growths: dict[str, float], refused: int) -> bool:
    ratios = []
    for name, times in (("upload", uploads), ("download", downloads)):
        ours, bare = times.speeds()
        Result(f"transfer.{name}", ours, "MiB/s", peer=bare).print()
        ratios.append(ours / bare)
    for name, growth in growths.items():
        Result(f"transfer.api_growth.{name}", growth, "MiB").print()
    Result("transfer.refused_of_eight", refused, "count").print()
    is_fast = ratios[0] >= LEAST_UPLOAD and ratios[1] >= LEAST_DOWNLOAD
    return is_fast and max(growths.values()) <= MOST_GROWTH_MEBIBYTES and refused == 0
