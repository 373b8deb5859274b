"""Engines in a sandbox that is warm: its template takes seconds to load them, so that tests share one."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from activities.engines import PRELOAD, DocumentEngines
from activities.sandbox import Sandbox
from tests.conftest import REPOSITORY


@contextmanager
def warm_engines(runner: asyncio.Runner, *more: str) -> Iterator[DocumentEngines]:
    """In the runner's loop, until the block ends. Modules of `more`, which are the tests' own, are loaded
    after the engines."""
    opened = _opened((*PRELOAD, *more))
    yield runner.run(opened.__aenter__())
    runner.run(opened.__aexit__(None, None, None))


@asynccontextmanager
async def _opened(preload: Sequence[str]) -> AsyncIterator[DocumentEngines]:
    root = {"PYTHONPATH": str(REPOSITORY)}
    async with Sandbox(concurrency=2, preload=preload, environment=root) as sandbox:
        await sandbox.ready()
        yield DocumentEngines(sandbox)
