"""When a call is sent again, and how long to wait before."""

import math
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from muniment.transport import refusal_of

_RETRIED_STATUSES = frozenset({429, 502, 503})
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_MOST_DOUBLINGS = 30  # beyond any useful wait, and far from overflow
_random = secrets.SystemRandom()


@dataclass(frozen=True)
class Retry:
    """`attempts` counts the first one too; waits double from `first_delay_seconds` to
    `longest_delay_seconds`, each shortened at random by up to half, so that many clients of a
    restarted API do not come back as one. An upload that is resumed counts no attempts: it is given up
    when nothing of it arrives for `resumes_within_seconds` of waiting. A download waits
    `scans_within_seconds` for the virus scan of its content."""

    attempts: int = 4
    first_delay_seconds: float = 0.2
    longest_delay_seconds: float = 5.0
    longest_retry_after_seconds: float = 60.0
    resumes_within_seconds: float = 120.0
    scans_within_seconds: float = 120.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number (from 1)."""
        doubled = self.first_delay_seconds * math.ldexp(1.0, min(attempt - 1, _MOST_DOUBLINGS))
        full = min(doubled, self.longest_delay_seconds)
        return full * _random.uniform(0.5, 1.0)

    def after_response(
        self, response: httpx.Response, attempt: int, *, repeatable: bool, keyed: bool = False
    ) -> float | None:
        """Seconds to wait before sending again, or None to take the response as it is.

        429 says that nothing was done, so that any call may follow it. A 409 to a repeated call
        that is `keyed` means that its first request, which seemed lost, is still in flight.
        """
        retry_after = retry_after_seconds(response)
        in_flight = response.status_code == 409 and keyed and attempt > 1
        retried = response.status_code in _RETRIED_STATUSES or in_flight
        if attempt >= self.attempts or not retried:
            return None
        if not repeatable and response.status_code != 429:
            return None
        if retry_after is None:
            return self.delay(attempt)
        return retry_after if retry_after <= self.longest_retry_after_seconds else None

    def after_error(
        self, error: httpx.TransportError, attempt: int, *, repeatable: bool
    ) -> float | None:
        """Seconds to wait before sending again, or None to give up: what TLS refuses it refuses again."""
        if attempt >= self.attempts or refusal_of(error) is not None:
            return None
        return self.delay(attempt) if repeatable or isinstance(error, _NEVER_SENT) else None


def retry_after_seconds(response: httpx.Response) -> float | None:
    """Retry-After (RFC 9110 §10.2.3), as seconds or as a date; None when absent or malformed."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
