"""How many WebSockets one principal may have open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from muniment.errors import TooManyRequests


class OpenSockets:
    """Those that this process serves. Each is one of its event streams besides, whose number is bounded."""

    def __init__(self, of_principal: int = 10) -> None:
        self._of_principal = of_principal
        self._open: Counter[UUID] = Counter()

    @contextmanager
    def take(self, principal_id: UUID) -> Iterator[None]:
        """A place for the block. Raises TooManyRequests."""
        if self._open[principal_id] >= self._of_principal:
            raise TooManyRequests(
                f"the principal has {self._of_principal} WebSockets open at this process",
                remedy="Close one that is not needed.",
            )
        self._open[principal_id] += 1
        try:
            yield
        finally:
            self._open[principal_id] -= 1
            if not self._open[principal_id]:
                del self._open[principal_id]
