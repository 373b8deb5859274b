"""What a row is asked for when the row it points at is deleted has an index, or a reason to have none."""

import psycopg

PRINCIPAL = "principals are disabled and not deleted"
TENANT = "tenants are not deleted"
JOB = "jobs are not deleted"

WITHOUT_INDEX = {
    "activity.actor_id": PRINCIPAL,
    "activity.job_id": JOB,
    "annotation.resolved_by": PRINCIPAL,
    "annotation_comment.author_id": PRINCIPAL,
    "api_key.principal_id": PRINCIPAL,
    "batch.requested_by": PRINCIPAL,
    "collection.owner_id": PRINCIPAL,
    "decision.principal_id": PRINCIPAL,
    "embedding.index_version_id,dimensions": "versions of the index are retired and not deleted",
    "erasure.requested_by": PRINCIPAL,
    "evaluation_run.index_version_id": "versions of the index are retired and not deleted",
    "file.owner_id": PRINCIPAL,
    "idempotency_key.principal_id": PRINCIPAL,
    "integrity_fault.tenant_id": TENANT,
    "job.requested_by": PRINCIPAL,
    "job.retry_of": JOB,
    "share_session.tenant_id": TENANT,
    "share_try.tenant_id": TENANT,
    "stream_ticket.key_id": "keys are revoked and not deleted",
    "upload.principal_id": PRINCIPAL,
    "webhook.principal_id": PRINCIPAL,
    "webhook_attempt.tenant_id": TENANT,
    "webhook_delivery.tenant_id": TENANT,
    "webhook_event.tenant_id": TENANT,
    "webhook_secret.tenant_id": TENANT,
}

_NO_INDEX_BEGINS_WITH_IT = """
SELECT foreign_key.conrelid::regclass::text || '.' || string_agg(attname, ',' ORDER BY place)
FROM pg_constraint foreign_key
CROSS JOIN unnest(foreign_key.conkey) WITH ORDINALITY AS named(attnum, place)
JOIN pg_attribute ON attrelid = foreign_key.conrelid AND pg_attribute.attnum = named.attnum
WHERE foreign_key.contype = 'f' AND foreign_key.connamespace = 'public'::regnamespace
  AND NOT EXISTS (
    SELECT 1 FROM pg_index WHERE indrelid = foreign_key.conrelid AND indisvalid
    -- In whatever order, and of rows that have the key if not of all.
    AND (indkey::int2[])[0:cardinality(foreign_key.conkey) - 1] @> foreign_key.conkey
    AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = '(' || attname || ' IS NOT NULL)'))
GROUP BY foreign_key.oid, foreign_key.conrelid
"""


def without_index(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute(_NO_INDEX_BEGINS_WITH_IT)}


def test_every_foreign_key_has_an_index_or_a_reason(postgres_dsn: str) -> None:
    assert without_index(postgres_dsn) == set(WITHOUT_INDEX)


def test_one_without_an_index_is_found(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DROP INDEX ix_file_version_document_blob_id")
        found = {row[0] for row in connection.execute(_NO_INDEX_BEGINS_WITH_IT)}
        connection.rollback()
    assert found - set(WITHOUT_INDEX) == {"file_version.document_blob_id"}
