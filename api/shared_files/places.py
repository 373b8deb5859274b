"""Places for downloads by links in this process, of which nobody has all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.client_address import Address, site_of
from api.slots import Slots
from muniment.errors import TooManyRequests


class DownloadPlaces:
    """As `Slots`, of which one address (of IPv6 its /64) has `of_one` at most: a visitor is free to come
    with a new session for each request, and not with a new address."""

    def __init__(self, limit: int, of_one: int | None = None) -> None:
        """Without `of_one` that is a quarter; however many it says, one place of several is left."""
        self._slots = Slots(limit, "downloads of shared files")
        self._of_one = max(1, limit // 4 if of_one is None else min(of_one, limit - 1))
        self._taken: Counter[bytes] = Counter()

    def acquire(self, address: Address) -> None:
        """Raises TooManyRequests when all are taken, or the address has its part; each is to be
        released once."""
        site = site_of(address)
        if self._taken[site] >= self._of_one:
            raise TooManyRequests(f"{self._of_one} downloads from this address are under way")
        self._slots.acquire()
        self._taken[site] += 1

    def release(self, address: Address) -> None:
        site = site_of(address)
        self._slots.release()
        self._taken[site] -= 1
        if not self._taken[site]:
            del self._taken[site]

    @contextmanager
    def take(self, address: Address) -> Iterator[None]:
        """A place for the block; raises as `acquire` does."""
        self.acquire(address)
        try:
            yield
        finally:
            self.release(address)
