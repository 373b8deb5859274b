"""What the process depends on: the state of each, and why."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel

from muniment.errors import MunimentError
from muniment.task_group import task_group

logger = logging.getLogger(__name__)

CHECK_TIMEOUT_SECONDS = 3.0
KEPT_SECONDS = 2.0
"""Anyone may ask: however often they do, the dependencies are asked no more often than this."""
LATE_REMEDY = "See `muniment doctor`, and its log."


class DependencyState(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


class Dependency(BaseModel):
    """`required`: without it the API cannot serve. `reason` says why it is in its state, where
    there is anything to say."""

    name: str
    state: DependencyState
    required: bool
    reason: str | None
    remedy: str | None


class ReadinessReport(BaseModel):
    """`ready` unless a required dependency is down; `degraded` when anything is not as it should."""

    ready: bool
    degraded: bool
    dependencies: list[Dependency]


@dataclass(frozen=True)
class Finding:
    """What a check found, when it is not that all is well."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class Fine:
    """All is well, and `detail` says in what way."""

    detail: str


Outcome = tuple[DependencyState, Finding | Fine | None]
"""What came of a probe."""


@dataclass(frozen=True)
class Check:
    """`probe` returns None or Fine when all is well, a Finding when it serves worse than it should,
    and raises when it does not serve."""

    name: str
    required: bool
    probe: Callable[[], Awaitable[Finding | Fine | None]]


@dataclass
class Readiness:
    """Asks all dependencies at once, each for a bounded time. Who asks while they are being asked, or
    soon after, shares the report. A probe that is late is left to its own end, since a request to a
    silent server ends by its own time-out, and a thread cannot be told to; meanwhile no second one is
    sent there."""

    checks: tuple[Check, ...]
    kept_seconds: float = KEPT_SECONDS
    timeout_seconds: float = CHECK_TIMEOUT_SECONDS
    _asking: asyncio.Task[ReadinessReport] | None = field(default=None, init=False)
    _fresh_until: float = field(default=0.0, init=False)
    _late: dict[str, asyncio.Task[Outcome]] = field(default_factory=dict, init=False)

    async def report(self) -> ReadinessReport:
        """How things are now, or were at most `kept_seconds` ago. Never raises."""
        asking = self._asking
        is_old = asking is not None and asking.done() and time.monotonic() >= self._fresh_until
        if asking is None or asking.cancelled() or is_old:
            self._asking = asking = asyncio.create_task(self._ask_all())
        # Shielded: who hangs up does not take the others' report along.
        return await asyncio.shield(asking)

    async def _ask_all(self) -> ReadinessReport:
        async with task_group() as asked:
            answers = [asked.create_task(self._ask(check)) for check in self.checks]
        found = [answer.result() for answer in answers]
        self._fresh_until = time.monotonic() + self.kept_seconds
        return ReadinessReport(
            ready=not any(each.required and each.state is DependencyState.DOWN for each in found),
            degraded=any(each.state is not DependencyState.OK for each in found),
            dependencies=found,
        )

    async def _ask(self, check: Check) -> Dependency:
        probing = self._late.pop(check.name, None)
        if probing is None or probing.done():
            probing = asyncio.create_task(_outcome_of(check))
        await asyncio.wait((probing,), timeout=self.timeout_seconds)
        if probing.done():
            return _dependency(check, *probing.result())
        self._late[check.name] = probing
        late = Finding(f"no answer within {self.timeout_seconds:g} s", LATE_REMEDY)
        return _dependency(check, DependencyState.DOWN, late)


async def _outcome_of(check: Check) -> Outcome:
    try:
        finding = await check.probe()
    except MunimentError as error:
        return DependencyState.DOWN, Finding(error.detail, error.remedy)
    except TimeoutError:
        return DependencyState.DOWN, Finding("no answer in time", LATE_REMEDY)
    except Exception as error:
        # Nothing foresaw it, so its text, which could hold anything, is for the log alone.
        logger.exception("a readiness check failed", extra={"check": check.name})
        return DependencyState.DOWN, Finding(type(error).__name__, "See the log of the API.")
    if finding is None or isinstance(finding, Fine):
        return DependencyState.OK, finding
    return DependencyState.DEGRADED, finding


def _dependency(check: Check, state: DependencyState, finding: Finding | Fine | None) -> Dependency:
    detail = finding.detail if isinstance(finding, Fine) else None
    return Dependency(
        name=check.name,
        state=state,
        required=check.required,
        reason=finding.reason if isinstance(finding, Finding) else detail,
        remedy=finding.remedy if isinstance(finding, Finding) else None,
    )
