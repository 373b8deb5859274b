"""One supervisor per home: a lock of the kernel's, so that it ends with its holder however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.embedded.home import Home
from muniment.errors import Conflict


class AlreadyRunning(Conflict):
    """Another supervisor holds the home."""


@contextmanager
def sole_supervisor(home: Home) -> Iterator[None]:
    """Holds the home's lock. Raises AlreadyRunning when another supervisor has it."""
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"a supervisor already runs for {home.root}") from None
        yield
    finally:
        os.close(descriptor)


def is_supervised(home: Home) -> bool:
    """Whether a supervisor holds the home's lock now."""
    if not home.lock.exists():
        return False
    try:
        with sole_supervisor(home):
            return False
    except AlreadyRunning:
        return True
