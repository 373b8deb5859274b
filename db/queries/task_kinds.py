"""The kinds of tasks, each a statement over the rows that wait: there is no table of tasks that could say
otherwise than they do.

Another kind is another entry of `KINDS`, and a member of TaskKind. Its statement names the columns
`subject_id`, `file_id` (null: of no file), `title`, `assignee` (null: of anybody who may), `since`, `due_at`
and `reminders` (null: those that the audit trail has), of the tenant's rows that wait at `:as_of`; an index
has to find them. Its days are parameters that are named as they are in TaskSettings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from db.queries.files import OUT_OF_SIGHT
from muniment.contracts.tasks import TaskKind
from muniment.errors import FindingsHeld

UNHEARD = timedelta(minutes=5)
"""A decision whose workflow still waits after this did not reach it: the task is listed again."""


@dataclass(frozen=True)
class KindOfTask:
    """`listed_for`: the scope with which tasks of the kind are seen; whoever has only `assigned_for` sees
    those that are assigned to it. `reminds_itself`: its own workflow does."""

    kind: TaskKind
    waiting: str
    listed_for: str
    assigned_for: str | None = None
    reminds_itself: bool = False


_OUT_OF_SIGHT = ", ".join(f"'{state}'" for state in OUT_OF_SIGHT)
_FINDINGS_HELD = f"urn:muniment:problem:{FindingsHeld.problem}"


def _waiting_jobs(condition: str, since: str, days: str) -> str:
    """By the index of the tenant's open jobs."""
    return f"""
        SELECT job.id AS subject_id, job.file_id,
            CASE WHEN file.state NOT IN ({_OUT_OF_SIGHT}) THEN file.name END AS title,
            CAST(NULL AS uuid) AS assignee, waits.since,
            waits.since + make_interval(days => :{days}) AS due_at,
            CAST(NULL AS bigint) AS reminders
        FROM job
        JOIN file ON file.id = job.file_id
        LEFT JOIN file_version ON file_version.id = job.version_id
        LEFT JOIN finding_judgement ON finding_judgement.job_id = job.id
        CROSS JOIN LATERAL (SELECT greatest({since}, job.created_at) AS since) waits
        WHERE job.tenant_id = (SELECT current_tenant()) AND job.finished_at IS NULL
          AND job.kind = 'ingest_file' AND job.state = 'waiting'
          AND (job.error ->> 'type') {condition}
          AND NOT EXISTS (
              SELECT FROM decision
              WHERE decision.job_id = job.id
                AND decision.created_at >= greatest(waits.since, CAST(:heard_since AS timestamptz))
          )
    """  # noqa: S608 - constants


_HELD_ERASURES = """
    SELECT erasure.id AS subject_id, erasure.file_id, CAST(NULL AS text) AS title,
        CAST(NULL AS uuid) AS assignee, erasure.created_at AS since,
        erasure.created_at + make_interval(days => :held_erasure_days) AS due_at,
        CAST(NULL AS bigint) AS reminders
    FROM erasure
    WHERE erasure.tenant_id = (SELECT current_tenant()) AND erasure.state = 'held'
"""
_REVIEWED_HOLDS = """
    SELECT legal_hold.id AS subject_id, CAST(NULL AS uuid) AS file_id, legal_hold.matter AS title,
        CAST(NULL AS uuid) AS assignee, wanted.since,
        wanted.since + make_interval(days => :hold_review_days) AS due_at,
        CAST(NULL AS bigint) AS reminders
    FROM legal_hold
    CROSS JOIN LATERAL (
        SELECT coalesce(legal_hold.confirmed_at, legal_hold.created_at)
            + make_interval(days => :hold_review_every_days) AS since
    ) wanted
    WHERE legal_hold.tenant_id = (SELECT current_tenant()) AND legal_hold.released_at IS NULL
      AND wanted.since <= CAST(:as_of AS timestamptz)
"""
_UNACKNOWLEDGED_HOLDS = """
    SELECT legal_hold.id AS subject_id, CAST(NULL AS uuid) AS file_id, legal_hold.matter AS title,
        custodian.principal_id AS assignee,
        coalesce(custodian.notified_at, legal_hold.created_at) AS since,
        coalesce(custodian.notified_at, legal_hold.created_at)
            + make_interval(days => :hold_acknowledgement_days) AS due_at,
        CAST(custodian.reminders AS bigint) AS reminders
    FROM legal_hold
    JOIN legal_hold_custodian custodian ON custodian.hold_id = legal_hold.id
    WHERE legal_hold.tenant_id = (SELECT current_tenant()) AND legal_hold.released_at IS NULL
      AND custodian.acknowledged_at IS NULL
"""

_OPEN_DISPOSITIONS = """
    SELECT disposition.id AS subject_id, CAST(NULL AS uuid) AS file_id, CAST(NULL AS text) AS title,
        CAST(NULL AS uuid) AS assignee, disposition.created_at AS since,
        disposition.created_at + make_interval(days => :disposition_days) AS due_at,
        CAST(NULL AS bigint) AS reminders
    FROM disposition
    WHERE disposition.tenant_id = (SELECT current_tenant()) AND disposition.ended_at IS NULL
"""
"""Of the file nothing is told: who decides sees the disposition, whatever of the file it may read."""
_WAITING_SWEEPS = """
    SELECT sweep.id AS subject_id, CAST(NULL AS uuid) AS file_id, CAST(NULL AS text) AS title,
        CAST(NULL AS uuid) AS assignee, sweep.judged_at AS since,
        sweep.judged_at + make_interval(days => :disposition_days) AS due_at,
        CAST(NULL AS bigint) AS reminders
    FROM retention_sweep sweep
    WHERE sweep.tenant_id = (SELECT current_tenant()) AND sweep.finished_at IS NULL
      AND sweep.state = 'waiting'
      AND NOT EXISTS (
          SELECT FROM retention_decision decision
          WHERE decision.sweep_id = sweep.id
            AND decision.created_at >= greatest(sweep.judged_at, CAST(:heard_since AS timestamptz))
      )
"""
_WAITING_REQUESTS = """
    SELECT asked.id AS subject_id, CAST(NULL AS uuid) AS file_id, CAST(NULL AS text) AS title,
        CAST(NULL AS uuid) AS assignee, asked.created_at AS since,
        asked.created_at + make_interval(days => :subject_request_days) AS due_at,
        CAST(NULL AS bigint) AS reminders
    FROM subject_request asked
    WHERE asked.tenant_id = (SELECT current_tenant()) AND asked.finished_at IS NULL
      AND asked.state = 'waiting'
      AND NOT EXISTS (
          SELECT FROM subject_decision decision
          WHERE decision.request_id = asked.id
            AND decision.created_at >= CAST(:heard_since AS timestamptz)
      )
"""

KINDS: Sequence[KindOfTask] = (
    KindOfTask(
        TaskKind.QUARANTINE,
        _waiting_jobs(
            f"IS DISTINCT FROM '{_FINDINGS_HELD}'", "file_version.scanned_at", "quarantine_days"
        ),
        listed_for="quarantine:decide",
    ),
    KindOfTask(
        TaskKind.FINDING_REVIEW,
        _waiting_jobs(
            f"= '{_FINDINGS_HELD}'", "finding_judgement.created_at", "finding_review_days"
        ),
        listed_for="quarantine:decide",
    ),
    KindOfTask(TaskKind.HELD_ERASURE, _HELD_ERASURES, listed_for="files:delete"),
    KindOfTask(TaskKind.HOLD_REVIEW, _REVIEWED_HOLDS, listed_for="holds:manage"),
    KindOfTask(
        TaskKind.HOLD_ACKNOWLEDGEMENT,
        _UNACKNOWLEDGED_HOLDS,
        listed_for="holds:manage",
        assigned_for="files:read",
        reminds_itself=True,
    ),
    KindOfTask(TaskKind.DISPOSITION, _OPEN_DISPOSITIONS, listed_for="retention:manage"),
    KindOfTask(TaskKind.RETENTION_SWEEP, _WAITING_SWEEPS, listed_for="retention:manage"),
    KindOfTask(TaskKind.SUBJECT_REQUEST, _WAITING_REQUESTS, listed_for="subjects:manage"),
)
