"""One supervisor per home and per port: locks of the kernel's, so that they end with their holder however
that ends."""

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.embedded.home import Home
from muniment.errors import ConfigurationError, Conflict


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


@contextmanager
def sole_user_of(port: int) -> Iterator[None]:
    """Keeps the API's port from the supervisors of other homes. Its own processes share it, and the
    system would let those of another home share it too, where both belong to one account.

    Raises ConfigurationError when another supervisor has it. Linux only: a name that is no file, and is
    known as far as the port is.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as holder:
        if sys.platform == "linux":
            try:
                holder.bind(f"\0muniment-api-{port}")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise ConfigurationError(
                    f"port {port} is taken by the stack of another home",
                    remedy="Choose another --port, or stop that stack: `muniment down --home` with its home.",
                ) from error
        yield
