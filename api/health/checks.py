"""What the process depends on: the state of each, and why."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel

from muniment.errors import MunimentError
from muniment.task_group import task_group

CHECK_TIMEOUT_SECONDS = 3.0


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


@dataclass(frozen=True)
class Check:
    """`probe` returns None or Fine when all is well, a Finding when it serves worse than it should,
    and raises when it does not serve."""

    name: str
    required: bool
    probe: Callable[[], Awaitable[Finding | Fine | None]]


class Readiness:
    """Asks all dependencies at once, each for a bounded time."""

    def __init__(self, checks: tuple[Check, ...]) -> None:
        self._checks = checks

    async def report(self) -> ReadinessReport:
        async with task_group() as asked:
            answers = [asked.create_task(_ask(check)) for check in self._checks]
        found = [answer.result() for answer in answers]
        return ReadinessReport(
            ready=not any(each.required and each.state is DependencyState.DOWN for each in found),
            degraded=any(each.state is not DependencyState.OK for each in found),
            dependencies=found,
        )


async def _ask(check: Check) -> Dependency:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            finding = await check.probe()
    except MunimentError as error:
        return _dependency(check, DependencyState.DOWN, Finding(error.detail, error.remedy))
    except TimeoutError:
        late = Finding(
            f"no answer within {CHECK_TIMEOUT_SECONDS:g} s", "See `muniment doctor`, and its log."
        )
        return _dependency(check, DependencyState.DOWN, late)
    if finding is None or isinstance(finding, Fine):
        return _dependency(check, DependencyState.OK, finding)
    return _dependency(check, DependencyState.DEGRADED, finding)


def _dependency(check: Check, state: DependencyState, finding: Finding | Fine | None) -> Dependency:
    detail = finding.detail if isinstance(finding, Fine) else None
    return Dependency(
        name=check.name,
        state=state,
        required=check.required,
        reason=finding.reason if isinstance(finding, Finding) else detail,
        remedy=finding.remedy if isinstance(finding, Finding) else None,
    )
