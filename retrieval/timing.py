"""How long the parts of a request took."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Timings:
    """Milliseconds by part, and `total` since this was made."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Adds the time spent inside to `part`, also when it fails."""
        start = perf_counter()
        try:
            yield
        finally:
            elapsed = (perf_counter() - start) * 1000
            self._parts[part] = self._parts.get(part, 0.0) + elapsed

    def finish(self) -> dict[str, float]:
        """All parts, to the microsecond."""
        total = (perf_counter() - self._start) * 1000
        return {part: round(spent, 3) for part, spent in (self._parts | {"total": total}).items()}
