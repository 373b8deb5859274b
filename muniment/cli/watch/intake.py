"""Takes in what is new in a folder, a bounded number of files at a time."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel

from muniment.cli.failures import problem_of_error
from muniment.cli.watch.folder import Seen, files_in
from muniment.cli.watch.ledger import Ledger, Taken
from muniment.client.async_client import AsyncMuniment
from muniment.client.models import Problem
from muniment.client.problems import ApiUnreachable
from muniment.errors import Forbidden, InvalidRequest, MunimentError, Unauthenticated
from muniment.task_group import task_group

UPLOADS_AT_ONCE = 4
_BLOCK_BYTES = 1024 * 1024


class Told(BaseModel):
    """What became of a file: one JSON object of `muniment watch --json`."""

    name: str
    state: str
    file_id: UUID | None = None
    job_id: UUID | None = None
    version: int | None = None
    deduplicated: bool = False
    error: Problem | None = None


@dataclass(frozen=True)
class WatchOptions:
    collection: str | None = None
    priority: int | None = None
    settle_seconds: float = 2.0


@dataclass(frozen=True)
class Round:
    """What one look at the folder came to. `waiting` files are not whole yet, or are to be tried
    again; of `refused` ones nothing more comes until they change."""

    taken: int = 0
    waiting: int = 0
    refused: int = 0


class Intake:
    """A file that is gone from the folder stays in Muniment: to delete is for people."""

    def __init__(
        self,
        muniment: AsyncMuniment,
        folder: Path,
        ledger: Ledger,
        options: WatchOptions,
        tell: Callable[[Told], None],
    ) -> None:
        self._muniment = muniment
        self._folder = folder
        self._ledger = ledger
        self._options = options
        self._tell = tell

    async def round(self) -> Round:
        """Raises ApiUnreachable when the API is away for longer than the client's retries, and
        Unauthenticated or Forbidden, which no other file would fare better with."""
        seen = await asyncio.to_thread(files_in, self._folder)
        news = [file for file in seen if self._is_news(file)]
        now = time.time_ns()
        whole = [file for file in news if file.is_settled(now, self._options.settle_seconds)]
        places = asyncio.Semaphore(UPLOADS_AT_ONCE)
        outcomes: list[Told | None] = []

        async def take(file: Seen) -> None:
            async with places:
                outcomes.append(await self._take(file))

        async with task_group() as tasks:
            for file in whole:
                tasks.create_task(take(file))
        again = sum(outcome is None for outcome in outcomes)
        refused = sum(outcome is not None and outcome.error is not None for outcome in outcomes)
        return Round(
            taken=len(whole) - again - refused,
            waiting=len(news) - len(whole) + again,
            refused=refused,
        )

    def _is_news(self, file: Seen) -> bool:
        taken = self._ledger.find(file.name)
        return taken is None or (taken.size, taken.modified_ns) != (file.size, file.modified_ns)

    async def _take(self, file: Seen) -> Told | None:
        """None when the file is to be looked at again: it changed meanwhile, is gone, or could not
        be sent for a passing reason."""
        path = self._folder / file.name
        try:
            digest = await asyncio.to_thread(_sha256, path)
        except OSError:
            return None
        before = self._ledger.find(file.name)
        if before is not None and before.sha256 == digest:
            # Touched, not changed.
            self._note(file, digest, before.file_id)
            return Told(name=file.name, state="unchanged", file_id=before.file_id)
        try:
            sent = await self._muniment.upload(
                path,
                name=file.name,
                collection=self._options.collection,
                priority=self._options.priority,
                on_conflict="version",
                verify=True,
            )
        except (ApiUnreachable, Unauthenticated, Forbidden):
            raise
        except MunimentError as error:
            return self._failed(file, digest, error)
        told = Told(
            name=file.name,
            state=str(sent.state),
            file_id=sent.id,
            job_id=sent.job.id if sent.job else None,
            version=sent.version if sent.job is None else sent.job.version,
            deduplicated=bool(sent.deduplicated),
        )
        # The answer's digest is that of the version that is read now, which may be an older one.
        if not await asyncio.to_thread(_is_unchanged, path, file):
            # Written to meanwhile: it is taken again when it has settled.
            return None
        self._note(file, digest, sent.id)
        self._tell(told)
        return told

    def _failed(self, file: Seen, digest: str, error: MunimentError) -> Told | None:
        if error.retryable or isinstance(error, InvalidRequest):
            # InvalidRequest: the file could not be opened, which a change of its rights mends.
            return None
        self._note(file, digest, None)
        told = Told(name=file.name, state="refused", error=problem_of_error(error))
        self._tell(told)
        return told

    def _note(self, file: Seen, digest: str, file_id: UUID | None) -> None:
        self._ledger.note(
            Taken(
                name=file.name,
                size=file.size,
                modified_ns=file.modified_ns,
                sha256=digest,
                file_id=file_id,
            )
        )


def _is_unchanged(path: Path, seen: Seen) -> bool:
    """Whether the file lies there as it was seen; what was read of it since is then that content."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (seen.size, seen.modified_ns)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
