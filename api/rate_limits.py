"""How many requests a principal and a tenant may make: a token bucket for each, of this process.

A bucket holds a minute's worth and fills continuously (GCRA: one number, the time at which it would be
full). The process counts for itself, and lets its part of the limits through: counts that all processes
share would have every request write, and all of a tenant's wait for one row (docs/decisions/0035).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answer_starts import STARTS
from muniment.errors import RateLimitExceeded

WINDOW_SECONDS = 60
BUCKET_STATES = "muniment.rate_limits"
"""In a request's scope: where its caller stands, for the headers of whatever is answered."""
_NANOSECONDS = 1_000_000_000
_SMALLEST_SWEEP = 1_024


@dataclass(frozen=True)
class BucketState:
    """One limit as the caller finds it: `remaining` requests may come at once, and another one in
    `reset_seconds`."""

    policy: str
    per_minute: int
    remaining: int
    reset_seconds: int


class Buckets:
    """Those of one limit, by whom it is counted. Times are whole nanoseconds: no rounding is summed up."""

    def __init__(self, policy: str, per_minute: int, clock: Callable[[], int]) -> None:
        self.policy = policy
        self.per_minute = per_minute
        self._interval = WINDOW_SECONDS * _NANOSECONDS // per_minute
        self._capacity = self._interval * per_minute
        self._clock = clock
        self._full_at: dict[UUID, int] = {}
        self._sweep_above = _SMALLEST_SWEEP

    def wait_seconds(self, key: UUID) -> float:
        """How long until a request may be taken; 0 when it may now."""
        too_much = self._missing(key) + self._interval - self._capacity
        return max(0, too_much) / _NANOSECONDS

    def take(self, key: UUID) -> None:
        """Counts a request; `wait_seconds` has said that there is one to take."""
        now = self._clock()
        self._full_at[key] = max(self._full_at.get(key, now), now) + self._interval
        if len(self._full_at) > self._sweep_above:
            # A full bucket is like one that never was: only who asked within the minute is kept.
            self._full_at = {each: at for each, at in self._full_at.items() if at > now}
            self._sweep_above = max(_SMALLEST_SWEEP, 2 * len(self._full_at))

    def state(self, key: UUID) -> BucketState:
        missing = self._missing(key)
        remaining = max(0, self._capacity - missing) // self._interval
        next_one = (missing % self._interval) / _NANOSECONDS
        reset = next_one if remaining else self.wait_seconds(key)
        return BucketState(self.policy, self.per_minute, remaining, max(1, math.ceil(reset)))

    def _missing(self, key: UUID) -> int:
        """How long until the bucket is full."""
        now = self._clock()
        return max(0, self._full_at.get(key, now) - now)


class RateLimits:
    """What this process lets through: of each principal, and of each tenant."""

    def __init__(
        self,
        principal_per_minute: int,
        tenant_per_minute: int,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._principals = Buckets("principal", principal_per_minute, clock)
        self._tenants = Buckets("tenant", tenant_per_minute, clock)

    def take(self, scope: Scope, tenant_id: UUID, principal_id: UUID) -> None:
        """Counts the request, once and in both; notes in its scope where that leaves the caller.
        Raises RateLimitExceeded, and counts it in neither, where one of them is used up."""
        pairs = ((self._principals, principal_id), (self._tenants, tenant_id))
        waits = {each.policy: each.wait_seconds(key) for each, key in pairs}
        longest = max(waits, key=lambda policy: waits[policy])
        if waits[longest] == 0:
            for buckets, key in pairs:
                buckets.take(key)
        scope[BUCKET_STATES] = [buckets.state(key) for buckets, key in pairs]
        if waits[longest] > 0:
            per_minute = next(each.per_minute for each, _ in pairs if each.policy == longest)
            raise RateLimitExceeded(
                f"the {longest} made more than {per_minute} requests in {WINDOW_SECONDS} s",
                wait_seconds=waits[longest],
            )


class RateLimitHeaders:
    """ASGI middleware: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) on
    every answer to a caller that is known."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_completed(message: Message) -> None:
            states = scope.get(BUCKET_STATES)
            if message["type"] in STARTS and states:
                headers = MutableHeaders(raw=message["headers"])
                headers["RateLimit-Policy"] = policies(states)
                headers["RateLimit"] = limits(states)
            await send(message)

        await self._app(scope, receive, send_completed)


def policies(states: Sequence[BucketState]) -> str:
    """The header's value: what is allowed."""
    return ", ".join(f'"{each.policy}";q={each.per_minute};w={WINDOW_SECONDS}' for each in states)


def limits(states: Sequence[BucketState]) -> str:
    """The header's value: what is left."""
    return ", ".join(
        f'"{each.policy}";r={each.remaining};t={each.reset_seconds}' for each in states
    )
