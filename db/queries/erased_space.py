"""Has PostgreSQL remove the rows that erasures deleted, and notes for which erasures it has.

A deleted row stays in its page, and its words in the indexes, until its table is vacuumed. VACUUM removes
what no transaction can see any more: so an erasure counts as vacuumed once every table was, by a run that
began when all transactions which might have seen its rows were over.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import Diagnostic
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.audit import Act, record
from db.models import now

ACTION = "file.erasure_vacuumed"
TABLES = (
    *("chunk", "lexical_document", "posting", "posting_removal", "unmerged_posting", "embedding"),
    *("cached_response", "page", "page_layer", "reading_comparison", "compared_page"),
    *("finding", "finding_judgement", "stage_output", "job_event", "batch_item", "file_access"),
    *("access_grant", "vector_store_file", "vector_store_batch", "annotation", "annotation_anchor"),
    *("annotation_comment", "message_source", "conversation_message", "answer_event", "feedback"),
    *("share_link", "share_session", "share_try", "question_list_item", "question_list_source"),
    *("activity", "idempotency_key", "file", "file_version"),
    *("blob", "blob_reference", "stage_result", "integrity_fault", "tier_move"),
    *("upload", "upload_part", "subject_request"),
)
"""Those that erasures take rows out of. What the application role may do to them is granted by migrations:
a new one belongs into a new one's."""
COST_DELAY_MILLISECONDS = 2
"""As autovacuum rests: whoever works beside it notices little."""
MOST_NOTED = 500
"""Erasures that one transaction notes."""
_LOCK = 0x6D756E76
"""An arbitrary constant that only this takes."""
_MISSED = re.compile(r"tuples missed: (\d+) dead")
"""In what VACUUM says of itself; a server that speaks another language does not say it so."""


@dataclass(frozen=True)
class Horizon:
    """No transaction before this one can still be seen by anybody, as a number of the present cluster."""

    x: str


async def take_turn(session: AsyncSession) -> bool:
    """Whether nobody else vacuums; until the connection is closed."""
    return bool(await session.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}))


async def horizon(session: AsyncSession) -> Horizon:
    """As VACUUM would have it now, or before: backends, standbys that say what they read, slots and prepared
    transactions all hold it back."""
    found = await session.execute(
        text(
            """
            SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - coalesce(max(old), 0))::text
            FROM (
                SELECT age(backend_xmin) AS old FROM pg_stat_activity WHERE pid <> pg_backend_pid()
                UNION ALL
                SELECT age(backend_xid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
                UNION ALL SELECT age(xmin) FROM pg_replication_slots
                UNION ALL SELECT age(catalog_xmin) FROM pg_replication_slots
                UNION ALL SELECT age(transaction) FROM pg_prepared_xacts
            ) held
            """
        )
    )
    return Horizon(str(found.scalar_one()))


async def tenants_waiting(session: AsyncSession, until: Horizon) -> Sequence[UUID]:
    """Tenants with erasures whose rows VACUUM would remove, and that nothing was noted for."""
    rows = await session.execute(
        text("SELECT tenants_to_vacuum_for(CAST(:x AS text)::xid8)"), {"x": until.x}
    )
    return list(rows.scalars())


async def vacuum(session: AsyncSession, table: str) -> bool:
    """Whether nothing of it was left for a page that somebody had in use. Outside of a transaction. It locks
    out nobody who reads or writes; another VACUUM of the table is waited for."""
    if table not in TABLES:
        raise ValueError("only what erasures take rows out of is vacuumed")
    said = list[str]()

    def hear(diagnostic: Diagnostic) -> None:
        said.append(diagnostic.message_primary or "")

    connection = (await (await session.connection()).get_raw_connection()).driver_connection
    assert isinstance(connection, AsyncConnection)  # noqa: S101 - of the dialect in db.session
    connection.add_notice_handler(hear)
    try:
        await session.execute(
            text("SELECT set_config('vacuum_cost_delay', :delay, false)"),
            {"delay": str(COST_DELAY_MILLISECONDS)},
        )
        # Words stand in indexes, too, which it else leaves alone while there are few dead rows.
        await session.execute(text(f"VACUUM (VERBOSE, INDEX_CLEANUP ON) {table}"))
    finally:
        connection.remove_notice_handler(hear)
    return not any(int(found.group(1)) for each in said for found in _MISSED.finditer(each))


async def note_vacuumed(session: AsyncSession, tenant_id: UUID, until: Horizon) -> int:
    """For some of the tenant's erasures that ended before the horizon; how many those were."""
    rows = await session.execute(
        text(
            """
            UPDATE erasure SET vacuumed_at = :at WHERE id IN (
                SELECT id FROM erasure WHERE finished_x IS NOT NULL AND vacuumed_at IS NULL
                -- Of another cluster: a dump brought no deleted rows along.
                AND (finished_x < CAST(:x AS text)::xid8
                    OR finished_x >= pg_snapshot_xmax(pg_current_snapshot()))
                ORDER BY id LIMIT :rows FOR UPDATE SKIP LOCKED)
            RETURNING id, file_id
            """
        ),
        {"at": now(), "x": until.x, "rows": MOST_NOTED},
    )
    noted = rows.all()
    for erasure_id, file_id in noted:
        record(
            session,
            Act(
                action=ACTION,
                object_type="file",
                object_id=file_id,
                tenant_id=tenant_id,
                payload={"erasure_id": str(erasure_id)},
            ),
        )
    return len(noted)
