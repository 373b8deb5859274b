"""Uploads a bounded number of files at a time and follows all of them."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from muniment.cli.failures import problem_of_error
from muniment.cli.ingest.display import Display
from muniment.cli.ingest.entry import Entry, Phase
from muniment.cli.ingest.following import JobFollower
from muniment.client.async_client import AsyncMuniment
from muniment.client.problems import ApiUnreachable
from muniment.errors import MunimentError
from muniment.task_group import task_group

UPLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class IngestOptions:
    collection: str | None = None
    priority: int | None = None
    wait: bool = True
    as_json: bool = False
    password: str | None = field(default=None, repr=False)


class Ingestion:
    """Takes every entry to its end. Cancelling `run` leaves the jobs to the stack."""

    def __init__(
        self,
        muniment: AsyncMuniment,
        entries: Sequence[Entry],
        options: IngestOptions,
        display: Display,
    ) -> None:
        self._muniment = muniment
        self._entries = entries
        self._options = options
        self._display = display
        self._follower = JobFollower(muniment, self._changed)
        self._left = len(entries)
        self._all_over = asyncio.Event()

    async def run(self) -> None:
        """Raises ApiUnreachable when the API is away for longer than the client's retries."""
        waiting = iter(self._entries)
        if not self._entries:
            return
        follower = asyncio.create_task(self._follower.run()) if self._options.wait else None
        try:
            async with task_group() as uploads:
                for _ in range(min(UPLOADS_AT_ONCE, len(self._entries))):
                    uploads.create_task(self._upload_next(waiting))
            await self._until_over(follower)
        finally:
            if follower is not None:
                follower.cancel()
                await asyncio.gather(follower, return_exceptions=True)

    async def _until_over(self, follower: asyncio.Task[None] | None) -> None:
        over = asyncio.create_task(self._all_over.wait())
        watched = {over, follower} if follower else {over}
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if follower is not None and follower.done() and not self._all_over.is_set():
            follower.result()  # raises what ended it

    async def _upload_next(self, waiting: Iterator[Entry]) -> None:
        for entry in waiting:
            entry.begin()
            self._changed(entry)
            await self._upload(entry)

    async def _upload(self, entry: Entry) -> None:
        def progress(sent_bytes: int) -> None:
            entry.sent_bytes = sent_bytes
            self._display.changed(entry)

        try:
            file = await self._muniment.upload(
                entry.path,
                collection=self._options.collection,
                priority=self._options.priority,
                password=self._options.password,
                progress=progress,
            )
        except ApiUnreachable:
            raise
        except MunimentError as error:
            entry.failed(problem_of_error(error))
        else:
            entry.received(file, waits=self._options.wait)
        self._changed(entry)
        self._follower.add(entry)

    def _changed(self, entry: Entry) -> None:
        if entry.phase is not Phase.OVER:
            self._display.changed(entry)
            return
        self._display.over(entry)
        self._left -= 1
        if self._left == 0:
            self._all_over.set()
