"""The address that a request came from, for the audit trail alone: unlike the ids of the log's context it is
personal data, and stands in no log line."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_origin: ContextVar[str | None] = ContextVar("muniment_origin", default=None)


@contextmanager
def coming_from(address: str | None) -> Iterator[None]:
    """What is recorded within comes from that address."""
    token = _origin.set(address)
    try:
        yield
    finally:
        _origin.reset(token)


def origin() -> str | None:
    """Where what is being served came from; None for what Muniment does by itself."""
    return _origin.get()
