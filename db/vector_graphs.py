"""`python -m db.vector_graphs [--memory 2GB]`: makes the graphs that large index versions lack.

While everybody searches and publishes, each with a commit of its own: what is made stays, and whoever is
interrupted begins again with the one that was being made. Drops those that came half, and those of
index versions that are retired. Connects as the schema's owner.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable
from uuid import UUID

import psycopg
from psycopg import sql

from db.queries.vectors import GRAPH_FROM
from db.transport import owner_url, tls_refusals_as_ours
from muniment.errors import ConfigurationError, MunimentError
from muniment.settings import load_settings

MOST_GRAPHS = 100
"""Every statement on `embedding`, of any tenant, opens and locks every one; as in `make_vector_graph`."""

_LOCK = 0x76656374  # an arbitrary constant that only this takes
_PREFIX = "embedding_graph_"
_MEMORY = re.compile(r"[1-9][0-9]*[kMGT]B")

_UNWANTED = """
    SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = 'public.embedding'::regclass AND relname LIKE 'embedding\\_graph\\_%'
        AND (NOT indisvalid OR NOT EXISTS (
            SELECT FROM index_version
            WHERE state <> 'retired'
                AND relname = 'embedding_graph_' || replace(id::text, '-', '')))
"""

# The smallest first: most of them are of use soon.
_MISSING = """
    SELECT index_version.id, dimensions, large.vectors
    FROM (
        SELECT index_version_id, count(*) AS vectors FROM embedding
        GROUP BY index_version_id HAVING count(*) >= %s
    ) AS large
    JOIN index_version ON index_version.id = large.index_version_id
    WHERE state <> 'retired' AND NOT has_vector_graph(index_version.id)
    ORDER BY large.vectors
"""


def make_missing(
    dsn: str,
    *,
    graph_from: int = GRAPH_FROM,
    memory: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """How many index versions of at least `graph_from` vectors are still without a graph. `memory` is
    PostgreSQL's `maintenance_work_mem`; a graph that does not fit takes several times as long.

    Raises ConfigurationError where another makes them already, and DatabaseUnavailable where TLS refuses
    the connection."""
    with (
        tls_refusals_as_ours(),
        psycopg.connect(dsn, connect_timeout=10, autocommit=True) as connection,
    ):
        # Not waited for: a statement that waits holds up what others do CONCURRENTLY.
        locked = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if locked != (True,):
            raise ConfigurationError(
                "another db.vector_graphs is at work", remedy="Wait until it has ended."
            )
        connection.execute("SET statement_timeout = 0")
        if memory is not None:
            connection.execute("SELECT set_config('maintenance_work_mem', %s, false)", (memory,))
        for (name,) in connection.execute(_UNWANTED).fetchall():
            connection.execute(
                sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name))
            )
            say(f"dropped {name}")
        missing = connection.execute(_MISSING, (graph_from,)).fetchall()
        made = 0
        for index_version_id, dimensions, vectors in missing:
            if _count(connection) >= MOST_GRAPHS:
                say(f"{MOST_GRAPHS} graphs are as many as a database takes (docs/vectors.md)")
                break
            began = time.monotonic()
            _make(connection, index_version_id, dimensions)
            made += 1
            seconds = time.monotonic() - began
            say(f"{index_version_id}: a graph over {vectors} vectors in {seconds:.0f} s")
    return len(missing) - made


def _make(connection: psycopg.Connection, index_version_id: UUID, dimensions: int) -> None:
    """In the form that `make_vector_graph` makes, and searches name."""
    connection.execute(
        sql.SQL(
            "CREATE INDEX CONCURRENTLY {} ON embedding"
            " USING hnsw ((vector::halfvec({})) halfvec_cosine_ops)"
            " WITH (m = 24, ef_construction = 200) WHERE index_version_id = {}"
        ).format(
            sql.Identifier(f"{_PREFIX}{index_version_id.hex}"),
            sql.Literal(dimensions),
            sql.Literal(str(index_version_id)),
        )
    )


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE indrelid = 'public.embedding'::regclass AND starts_with(relname, %s)",
        (_PREFIX,),
    ).fetchone()
    return 0 if row is None else int(row[0])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m db.vector_graphs")
    parser.add_argument(
        "--memory", type=_memory, help="for making one, such as 2GB (default: the server's)"
    )
    options = parser.parse_args(arguments)
    try:
        left = make_missing(
            owner_url(load_settings()),
            memory=options.memory,
            say=_say,
        )
    except MunimentError as error:
        sys.stderr.write(f"{error.detail}\n{error.remedy}\n")
        return 2
    except psycopg.Error as error:
        sys.stderr.write(f"PostgreSQL: {error}\nBegin again: what was made stays.\n")
        return 1
    return 1 if left else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _memory(value: str) -> str:
    if not _MEMORY.fullmatch(value):
        raise argparse.ArgumentTypeError(f"not a size such as 512MB or 2GB: {value}")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
