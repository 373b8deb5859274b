"""Keeps one template process alive: starts it, and starts it anew when it dies."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from activities.sandbox.template_process import TemplateProcess
from muniment.errors import EngineCrashed

START_SECONDS = 300.0
"""Loading takes about 5 s, with torch and its models 20 s; a machine under full load may need many times
that."""
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 30.0
SETTLED_SECONDS = 60.0
"""A template that lived this long was sound: its death starts the back-off from the beginning."""


class TemplateSupervisor:
    """Hands out the template that serves, and waits while one is loading. With `at_need` nothing is
    loaded before a template is first asked for."""

    def __init__(
        self, preload: Sequence[str], environment: Mapping[str, str], *, at_need: bool = False
    ) -> None:
        self._preload = tuple(preload)
        self._environment = dict(environment)
        self._at_need = at_need
        self._is_open = False
        self._serving: asyncio.Future[TemplateProcess] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to load in the background, unless it is to wait for the first who asks."""
        self._is_open = True
        if not self._at_need:
            self._load()

    def _load(self) -> None:
        self._serving = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_alive(), name="sandbox-template")

    async def template(self) -> TemplateProcess:
        """A template that is ready; EngineCrashed when the one being loaded fails to start."""
        if self._serving is None and self._is_open:
            self._load()
        if self._serving is None:
            raise EngineCrashed("The sandbox is not open.")
        return await asyncio.shield(self._serving)

    async def close(self) -> None:
        """Ends the template and every call in it."""
        self._is_open = False
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        self._refuse(EngineCrashed("The sandbox was closed."))
        self._serving = None

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            started = loop.time()
            await self._serve_one()
            if loop.time() - started > SETTLED_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def _serve_one(self) -> None:
        """One template from its start to its death."""
        template = TemplateProcess(self._preload, self._environment)
        try:
            async with asyncio.timeout(START_SECONDS):
                await template.ready
            if self._serving is not None and not self._serving.done():
                self._serving.set_result(template)
            await template.died
            # Before the dead one is reaped, which takes its time: nobody shall be given it.
            self._serving = asyncio.get_running_loop().create_future()
        except (EngineCrashed, TimeoutError):
            self._refuse(EngineCrashed("The sandbox's template did not start."))
            self._serving = asyncio.get_running_loop().create_future()
        finally:
            await template.close()

    def _refuse(self, error: EngineCrashed) -> None:
        """Whoever waits for a template learns that none comes."""
        if self._serving is not None and not self._serving.done():
            self._serving.set_exception(error)
            self._serving.exception()  # marks it as seen: perhaps nobody waits
