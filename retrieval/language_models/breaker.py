"""What keeps questions away from a model that fails, and tries it again after a while."""

import time
from collections.abc import Callable

FAILURES = 3
"""In a row, after which it is left alone."""
REST_SECONDS = 30.0


class Breaker:
    """Of one model in one process. After FAILURES in a row it admits nobody for REST_SECONDS, then one
    question as a trial: its success ends the rest, its failure begins another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._rests_until = 0.0
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        """Whether it keeps away: without taking the trial's place."""
        return self._failures >= FAILURES and (self._is_trying or self._clock() < self._rests_until)

    def admit(self) -> bool:
        """Whether the model may be asked; each time it may, one of those below is to follow."""
        if self.is_open:
            return False
        self._is_trying = self._failures >= FAILURES
        return True

    def succeeded(self) -> None:
        self._failures = 0
        self._is_trying = False

    def failed(self) -> None:
        self._failures += 1
        self._is_trying = False
        if self._failures >= FAILURES:
            self._rests_until = self._clock() + REST_SECONDS

    def abandoned(self) -> None:
        """Whoever asked left: nothing is known of the model."""
        self._is_trying = False
