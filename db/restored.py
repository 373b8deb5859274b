"""A database that was restored into another cluster: the order of its events.

Rows remember the transaction that wrote them, and a tenant's stream tells an event once its transaction
is older than every one that still runs (db/queries/events.py). Transactions are numbered by the cluster,
so that in another one, which has made fewer, what a dump brings back seems to be of the future: nobody
would be told of it until that cluster came to the same number.

What happened after the dump is lost, and viewers may have seen it: their ids are to be no ids here. That is
so in the cluster that the dump came from, too, where no row tells it: so the era of the database is kept.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from db.queries.events import ERA

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 10_000
"""Rows that one transaction writes: what else writes events waits for none of them for long."""
SEQ_GAP = 1_000_000
"""By so much a job that is not over counts on from where the dump left it: more events than it had since."""
_TABLES = ("job_event", "audit_event")
_LOCK = 0x6D756E72
"""An arbitrary constant that only this takes. Two at once would each take in some of a tenant's rows, in
no order between them, and what the other just took in once more."""

# A row that can be seen was committed before the snapshot was taken, so that its transaction has a
# number below the snapshot's end, unless another cluster gave it.
_OF_ANOTHER_CLUSTER = "x >= pg_snapshot_xmax(pg_current_snapshot())"


def take_in_restored_events(connection: Connection) -> int:
    """Writes anew by which transaction events came that a dump of another cluster brought; how many those
    were. They keep their order, come after all that was there, and are told as soon as this is committed.

    As the schema's owner, and in transactions of its own, between which it may be interrupted: what is
    left is found by the next one. Several at once write in turn. Finds nothing, by a look into an index
    for each tenant, where nothing was restored.
    """
    _refuse_earlier_cursors(connection)
    found = [
        (table, tenant_id)
        for table in _TABLES
        for tenant_id in _restored_tenants(connection, table)
    ]
    _begin_an_era(connection)
    taken_in = 0
    for table, tenant_id in found:
        taken_in += _take_in_of_tenant(connection, table, tenant_id)
    connection.commit()
    if taken_in:
        logger.info("events of another cluster were taken in", extra={"events": taken_in})
    return taken_in


def _restored_tenants(connection: Connection, table: str) -> Sequence[UUID]:
    """Those of whom the table has rows of another cluster."""
    return (
        connection.execute(
            text(
                "SELECT id FROM tenant WHERE EXISTS"  # noqa: S608 - constants
                f" (SELECT 1 FROM {table} WHERE tenant_id = tenant.id AND {_OF_ANOTHER_CLUSTER})"
            )
        )
        .scalars()
        .all()
    )


def _begin_an_era(connection: Connection) -> None:
    """Where the database is not the one that the schema was brought up to date in before, all jobs that are
    not over count on behind a gap, whoever's they are: before anybody is told what was restored. The era is
    kept once all do, so that whoever is interrupted and begins anew leaves a wider gap."""
    _await_turn(connection)
    kept, era = connection.execute(
        text(f"SELECT obj_description('alembic_version'::regclass, 'pg_class'), {ERA}")
    ).one()
    connection.commit()
    if kept == era:
        return
    open_jobs = text("SELECT DISTINCT tenant_id FROM job WHERE finished_at IS NULL")
    for tenant_id in connection.execute(open_jobs).scalars().all():
        _count_on_behind_a_gap(connection, tenant_id)
    # A comment goes along with a dump; without one the database counts as another.
    connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{era}'"))
    connection.commit()


def _count_on_behind_a_gap(connection: Connection, tenant_id: UUID) -> None:
    """The tenant's jobs that are not over. What appends to them waits for the end of this transaction."""
    _await_turn(connection)
    connection.execute(
        text(
            "UPDATE job SET event_seq = event_seq + :gap WHERE id IN (SELECT id FROM job"
            # In an order, so that of two who want several neither waits for the other.
            " WHERE tenant_id = :tenant_id AND finished_at IS NULL ORDER BY id FOR UPDATE)"
        ),
        {"tenant_id": tenant_id, "gap": SEQ_GAP},
    )
    connection.commit()


def _refuse_earlier_cursors(connection: Connection) -> None:
    """What was erased of the events of the other cluster's transactions has no place among this one's:
    whoever resumes from before now begins anew, once."""
    _await_turn(connection)
    connection.execute(
        text(
            "UPDATE job_event_horizon SET x = pg_current_xact_id(), event_id = 0"  # noqa: S608 - constants
            f" WHERE {_OF_ANOTHER_CLUSTER}"
        )
    )
    connection.commit()


def _take_in_of_tenant(connection: Connection, table: str, tenant_id: UUID) -> int:
    """From the earliest on, some in each transaction, which has a higher number than the one before. A row
    that is just being erased is left to that."""
    taken_in, reached = 0, 0
    while True:
        _await_turn(connection)
        numbers = connection.execute(
            text(
                f"UPDATE {table} SET x = pg_current_xact_id() FROM (SELECT id, x FROM {table}"  # noqa: S608 - constants
                f" WHERE tenant_id = :tenant_id AND {_OF_ANOTHER_CLUSTER}"
                # What was taken in before leaves dead entries in the index, which are not gone through again.
                " AND x >= CAST(:reached AS text)::xid8"
                " ORDER BY x, id LIMIT :rows FOR UPDATE SKIP LOCKED) former"
                f" WHERE {table}.id = former.id RETURNING former.x::text::bigint"
            ),
            {"tenant_id": tenant_id, "reached": str(reached), "rows": ROWS_AT_ONCE},
        ).scalars()
        former = numbers.all()
        connection.commit()
        if not former:
            return taken_in
        taken_in, reached = taken_in + len(former), max(former)
        logger.info(
            "taking in events of another cluster",
            extra={"table": table, "tenant_id": str(tenant_id), "events": taken_in},
        )


def _await_turn(connection: Connection) -> None:
    """Until the end of the transaction. What the one before committed is seen by the next statement."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
