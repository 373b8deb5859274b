"""What waits is found among much that is over, without looking through that."""

from collections.abc import Iterator

import psycopg
import pytest

from db.models import now
from db.queries import tasks
from db.queries.task_kinds import KINDS
from db.queries.tasks import TaskFilter
from db.session import Database
from muniment.api_keys import ALL_SCOPES
from muniment.contracts.tasks import TaskKind
from muniment.settings import TaskSettings
from tests.conftest import TenantFixture
from tests.db.statements import statements_of

OVER = 5_000
WAITING = 20

_FILL = """
INSERT INTO file (id, tenant_id, collection_id, name, media_type, state, current_version, revision,
                  labels, metadata, degraded, created_at, updated_at)
SELECT gen_random_uuid(), %(tenant)s, %(collection)s, 'f' || number, 'text/plain', 'ready', 0, 1,
       '{}', '{}', false, now(), now()
FROM generate_series(1, %(over)s + %(waiting)s) AS number;
INSERT INTO job (id, tenant_id, kind, file_id, workflow_id, state, error, pages_total, pages_done,
                 pages_failed, pages_reused, percent, degraded, priority, event_seq, created_at, started_at,
                 finished_at)
SELECT gen_random_uuid(), %(tenant)s, 'ingest_file', id, id::text,
       CASE WHEN row_number() OVER () <= %(waiting)s THEN 'waiting' ELSE 'completed' END,
       '{"type": "urn:muniment:problem:malware-found"}', 0, 0, 0, 0, 0, false, 3, 0,
       now() - interval '9 days', now(),
       CASE WHEN row_number() OVER () <= %(waiting)s THEN NULL ELSE now() END
FROM file WHERE tenant_id = %(tenant)s;
INSERT INTO erasure (id, tenant_id, file_id, state, keys_destroyed, blobs_kept, ciphertexts_left, created_at)
SELECT gen_random_uuid(), tenant_id, file_id, CASE WHEN state = 'waiting' THEN 'held' ELSE 'completed' END,
       0, 0, 0, created_at
FROM job WHERE tenant_id = %(tenant)s;
INSERT INTO audit_event (id, tenant_id, at, actor_kind, action, object_type, object_id, payload, salt)
SELECT gen_random_uuid(), tenant_id, now(), 'system', 'task.overdue', 'task', id, '{}', ''
FROM job WHERE tenant_id = %(tenant)s;
"""


_FORGET = """
DELETE FROM audit_event WHERE tenant_id = %(tenant)s;
DELETE FROM erasure WHERE tenant_id = %(tenant)s;
UPDATE job SET state = 'completed', finished_at = now()
WHERE tenant_id = %(tenant)s AND state = 'waiting';
"""
"""What is held lets no migration go down, and others have the database after this."""


@pytest.fixture
def much(tenant: TenantFixture, postgres_dsn: str) -> Iterator[None]:
    _filled(postgres_dsn, tenant)
    yield
    with psycopg.connect(postgres_dsn, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(_FORGET, {"tenant": tenant.tenant_id})


def _filled(dsn: str, tenant: TenantFixture) -> None:
    values = {"tenant": tenant.tenant_id, "collection": tenant.collection_id}
    # Several statements at once take their values on this side.
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(_FILL, {**values, "over": OVER, "waiting": WAITING})
        for table in ("file", "job", "erasure", "audit_event"):
            connection.execute(f"ANALYZE {table}")


@pytest.mark.usefixtures("much")
async def test_what_is_over_is_not_looked_through(
    database: Database, tenant: TenantFixture
) -> None:
    days = TaskSettings().due_days
    view = tasks.view_of(frozenset(ALL_SCOPES), tenant.principal_id, days, now())
    async with database.transaction(tenant.access) as session:
        connection = await session.connection()
        with statements_of(connection) as sent:
            found = await tasks.list_tasks(session, view, TaskFilter(), limit=100)
            totals = await tasks.totals(session, view, TaskFilter())
            due = await tasks.due_for_reminder(session, days, now(), now() - now(), 100)
        assert len(sent) == 3
        for statement, parameters in list(sent):
            plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            shown = "\n".join(plan.scalars())
            for table in ("file", "job", "erasure", "audit_event"):
                assert f"Seq Scan on {table}\n" not in shown + "\n", shown
                assert f"Seq Scan on {table} " not in shown, shown
            assert "visible_files" not in shown
    counted = {each.kind: each.total for each in totals}
    assert counted[TaskKind.QUARANTINE] == counted[TaskKind.HELD_ERASURE] == WAITING
    assert len(found) == 2 * WAITING
    assert {task.reminders for task in found if task.kind is TaskKind.QUARANTINE} == {1}
    # Erasures are due after thirty days.
    assert {task.kind for task in due} == {TaskKind.QUARANTINE}


def test_every_kind_is_registered_once() -> None:
    assert [each.kind for each in KINDS] == list(TaskKind)
