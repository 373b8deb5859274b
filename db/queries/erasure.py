"""How the database forgets a file, table by table, and how blobs lose their keys.

Every function is idempotent: an erasure that is repeated finds less to do, never something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import new_id
from db.queries.postings import purge_removals
from db.queries.publish import delete_chunks
from muniment.contracts.erase_file import EraseFileInput


@dataclass(frozen=True)
class ErasureCounts:
    """What an erasure came to so far."""

    keys_destroyed: int
    blobs_kept: int
    ciphertexts_left: int


@dataclass(frozen=True)
class FinishedErasure(ErasureCounts):
    """What an erasure came to in the end, who asked for it, and when."""

    id: UUID
    requested_by: UUID | None
    created_at: datetime
    finished_at: datetime
    reason: str | None = None
    first_erased_at: datetime | None = None
    content_tags: Sequence[bytes] | None = None


async def begin_erasure(session: AsyncSession, request: EraseFileInput) -> None:
    """Puts the file in erasure, which nothing takes it out of, and opens the erasure's record
    where the request did not."""
    await session.execute(
        text(
            "UPDATE file SET state = 'erasing', revision = revision + 1, updated_at = now()"
            " WHERE id = :file_id AND state NOT IN ('erasing', 'erased')"
        ),
        {"file_id": request.file_id},
    )
    await session.execute(
        text(
            "INSERT INTO erasure (id, tenant_id, file_id, job_id, state, keys_destroyed,"
            " blobs_kept, created_at) SELECT :id, :tenant_id, :file_id, :job_id, 'executing', 0, 0,"
            " now() WHERE NOT EXISTS (SELECT 1 FROM erasure WHERE job_id = :job_id)"
        ),
        {
            "id": new_id(),
            "tenant_id": request.tenant_id,
            "file_id": request.file_id,
            "job_id": request.job_id,
        },
    )
    await session.execute(
        text("UPDATE erasure SET state = 'executing' WHERE job_id = :job_id AND state = 'held'"),
        {"job_id": request.job_id},
    )


async def open_ingestions(
    session: AsyncSession, file_id: UUID, *, unstarted_only: bool = False
) -> list[UUID]:
    """Ids of the file's ingestions and comparisons that have not ended, in their order."""
    rows = await session.execute(
        text(
            "SELECT id FROM job WHERE file_id = :file_id AND kind <> 'erase_file'"
            " AND finished_at IS NULL AND (started_at IS NULL OR NOT :unstarted_only)"
            " ORDER BY id LIMIT 100"
        ),
        {"file_id": file_id, "unstarted_only": unstarted_only},
    )
    return list(rows.scalars())


async def running_ingestions(session: AsyncSession, file_id: UUID) -> tuple[str, ...]:
    """Workflow ids of the file's ingestions and comparisons that were started and have not ended."""
    rows = await session.execute(
        text(
            "SELECT workflow_id FROM job WHERE file_id = :file_id AND kind <> 'erase_file'"
            " AND finished_at IS NULL AND started_at IS NOT NULL ORDER BY id LIMIT 100"
        ),
        {"file_id": file_id},
    )
    return tuple(rows.scalars())


# ── the stores in PostgreSQL; each is registered in activities/erasure/stores.py ────────────────


async def erase_search_index(session: AsyncSession, file_id: UUID) -> None:
    """Chunks; their vectors go with them. Which words are to go out of the postings is noted."""
    await delete_chunks(session, file_id)


async def erase_postings(session: AsyncSession, file_id: UUID) -> bool:
    """Takes words out of every posting, those of earlier versions that maintenance has not come to as well:
    as many as a transaction takes. Whether there may be more. PostingsBusy when others are at them."""
    return await purge_removals(session, file_id) is not None


async def erase_pages(session: AsyncSession, file_id: UUID) -> None:
    await _delete_of_versions(session, "page", file_id)
    await _delete_of_versions(session, "page_layer", file_id)


async def erase_comparisons(session: AsyncSession, file_id: UUID) -> None:
    """How candidates read the file; the figures of its pages go with them."""
    await _delete_of_versions(session, "reading_comparison", file_id)


async def erase_findings(session: AsyncSession, file_id: UUID) -> None:
    await _delete_of_versions(session, "finding", file_id)
    await _delete_of_versions(session, "finding_judgement", file_id)


async def erase_stage_outputs(session: AsyncSession, file_id: UUID) -> None:
    await session.execute(
        text(
            "DELETE FROM stage_output WHERE job_id IN (SELECT id FROM job WHERE file_id = :file_id)"
        ),
        {"file_id": file_id},
    )


async def erase_job_events(session: AsyncSession, file_id: UUID) -> None:
    """Events of all but the erasure itself, whose stay for whoever follows it."""
    await session.execute(
        text(
            "DELETE FROM job_event WHERE job_id IN"
            " (SELECT id FROM job WHERE file_id = :file_id AND kind <> 'erase_file')"
        ),
        {"file_id": file_id},
    )


async def erase_activity_feed(session: AsyncSession, file_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM activity WHERE file_id = :file_id"), {"file_id": file_id}
    )


async def erase_import_names(session: AsyncSession, file_id: UUID) -> None:
    """Which object it came from; that the file had a place in a batch stays."""
    await session.execute(
        text(
            "UPDATE batch_item SET object_key = '' WHERE file_id = :file_id"
            " AND object_key IS NOT NULL"
        ),
        {"file_id": file_id},
    )


async def erase_accesses(session: AsyncSession, file_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM file_access WHERE file_id = :file_id"), {"file_id": file_id}
    )


async def erase_grants(session: AsyncSession, file_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM access_grant WHERE file_id = :file_id"), {"file_id": file_id}
    )


async def erase_vector_stores(session: AsyncSession, file_id: UUID) -> None:
    """The file is in none of them any more, and in none of the batches that they were filled by."""
    await session.execute(
        text("DELETE FROM vector_store_file WHERE file_id = :file_id"), {"file_id": file_id}
    )
    await session.execute(
        text(
            "UPDATE vector_store_batch SET file_ids = array_remove(file_ids, :file_id)"
            " WHERE file_ids @> ARRAY[CAST(:file_id AS uuid)]"
        ),
        {"file_id": file_id},
    )


async def erase_annotations(session: AsyncSession, file_id: UUID) -> None:
    """With their comments, and where they were found in other readings."""
    await session.execute(
        text("DELETE FROM annotation WHERE file_id = :file_id"), {"file_id": file_id}
    )


_QUOTING = "(SELECT message_id FROM message_source WHERE file_id = :file_id AND has_words)"
_FORGET_IN_CONVERSATIONS = (
    # Conversations before their messages, as whoever asks or finishes an answer, and in one order.
    text(
        "SELECT 1 FROM conversation WHERE id IN (SELECT conversation_id FROM conversation_message"  # noqa: S608 - a constant of this module
        f" WHERE id IN {_QUOTING}) ORDER BY id FOR UPDATE"
    ),
    # The messages next: who makes one of them writes nothing more behind this.
    text(
        f"""
        WITH quoting AS (
            SELECT id, conversation_id, octet_length(sealed) AS size
            FROM conversation_message WHERE id IN {_QUOTING}
        ),
        forgotten AS (
            UPDATE conversation_message SET sealed = NULL, state = 'forgotten'
            WHERE id IN (SELECT id FROM quoting)
        )
        UPDATE conversation SET size_bytes = size_bytes - freed.size
        FROM (
            SELECT conversation_id, coalesce(sum(size), 0) AS size FROM quoting GROUP BY 1
        ) freed
        WHERE conversation.id = freed.conversation_id
        """  # noqa: S608 - likewise
    ),
    text(f"DELETE FROM answer_event WHERE message_id IN {_QUOTING}"),  # noqa: S608 - likewise
    text(f"UPDATE feedback SET sealed_text = NULL WHERE message_id IN {_QUOTING}"),  # noqa: S608 - likewise
    text("UPDATE feedback SET file_id = NULL, page = NULL WHERE file_id = :file_id"),
    text("DELETE FROM message_source WHERE file_id = :file_id"),
)


async def erase_conversations(session: AsyncSession, file_id: UUID) -> None:
    """Answers that may quote it, with what was passed on of them while they were made; that they were given
    stays. An answer that did not quote it forgets that it was read."""
    for statement in _FORGET_IN_CONVERSATIONS:
        await session.execute(statement, {"file_id": file_id})


async def erase_shares(session: AsyncSession, file_id: UUID) -> None:
    """Links to the file; their sessions and tries go with them."""
    await session.execute(
        text("DELETE FROM share_link WHERE file_id = :file_id"), {"file_id": file_id}
    )


async def erase_listed_answers(session: AsyncSession, file_id: UUID) -> None:
    """Answers of lists of questions for which the file's passages were read; that it was asked stays."""
    # In one order: erasures beside each other may have been read for the same answers.
    await session.execute(
        text(
            "SELECT item.ordinal FROM question_list_item item"
            " JOIN question_list_source source USING (list_id, ordinal)"
            " WHERE source.file_id = :file_id ORDER BY item.list_id, item.ordinal"
            " FOR UPDATE OF item"
        ),
        {"file_id": file_id},
    )
    await session.execute(
        text(
            "UPDATE question_list_item item SET answer = NULL, outcome = 'erased'"
            " FROM question_list_source source WHERE source.file_id = :file_id"
            " AND source.list_id = item.list_id AND source.ordinal = item.ordinal"
        ),
        {"file_id": file_id},
    )
    await session.execute(
        text("DELETE FROM question_list_source WHERE file_id = :file_id"), {"file_id": file_id}
    )


async def erase_idempotency_responses(session: AsyncSession, file_id: UUID) -> None:
    """First answers that name the file: they repeat its name and metadata for 24 hours."""
    await session.execute(
        text(
            "DELETE FROM idempotency_key WHERE tenant_id = (SELECT current_tenant())"
            " AND (position(:file_id IN response::text) > 0 OR position(:file_id IN location) > 0"
            # As OpenAI's clients see it.
            " OR position(:digits IN response::text) > 0)"
        ),
        {"file_id": str(file_id), "digits": file_id.hex},
    )


async def blank_file(session: AsyncSession, file_id: UUID) -> None:
    """Names, metadata and digests of the file and its versions; the rows stay as tombstones, so
    that ids in the audit trail still mean something."""
    await session.execute(
        text(
            "UPDATE file SET name = '', labels = '{}', metadata = '{}', extracted = '{}',"
            " page_count = NULL, member_path = NULL WHERE id = :file_id"
        ),
        {"file_id": file_id},
    )
    await session.execute(
        text(
            "UPDATE file_version SET name = '', sha256 = ''::bytea, scan_signature = NULL,"
            " page_count = NULL, document_blob_id = NULL, text_key_id = NULL"
            " WHERE file_id = :file_id"
        ),
        {"file_id": file_id},
    )


async def _delete_of_versions(session: AsyncSession, table: str, file_id: UUID) -> None:
    await session.execute(
        text(
            f"DELETE FROM {table} WHERE version_id IN"  # noqa: S608 - a constant of this module
            " (SELECT id FROM file_version WHERE file_id = :file_id)"
        ),
        {"file_id": file_id},
    )


# ── keys ────────────────────────────────────────────────────────────────────────────────────────


async def condemn_unshared_blobs(session: AsyncSession, request: EraseFileInput) -> None:
    """Decides over every blob that the file's versions refer to, and counts it.

    One that nothing else refers to is marked as destroyed: nobody refers to it anew. Its references
    stay until its key is gone, so that a repetition finds it. The others lose this file's
    references here, under the same lock: of two files erased at once, one sees the other gone.
    """
    await session.execute(
        text(
            "SELECT id FROM blob WHERE id IN (SELECT blob_id FROM blob_reference WHERE version_id"
            " IN (SELECT id FROM file_version WHERE file_id = :file_id)) ORDER BY id FOR UPDATE"
        ),
        {"file_id": request.file_id},
    )
    # A statement of its own: it sees every reference committed before the locks were granted.
    rows = await session.execute(_DECIDE, {"file_id": request.file_id})
    decided = list(rows)
    condemned = [blob_id for blob_id, is_shared, was_condemned in decided if not is_shared]
    fresh = sum(not is_shared and not was_condemned for _, is_shared, was_condemned in decided)
    shared = [blob_id for blob_id, is_shared, _ in decided if is_shared]
    await session.execute(
        text(
            "UPDATE blob SET destroyed_at = coalesce(destroyed_at, now()), dedup_tag = NULL,"
            " sha256 = ''::bytea WHERE id = ANY(:ids)"
        ),
        {"ids": condemned},
    )
    await session.execute(
        text("DELETE FROM stage_result WHERE blob_id = ANY(:ids)"), {"ids": condemned}
    )
    # What was found at them is nobody's any more; under the locks nothing is found anew.
    await session.execute(
        text("DELETE FROM integrity_fault WHERE blob_id = ANY(:ids)"), {"ids": condemned}
    )
    await _drop_references(session, request.file_id, shared)
    await session.execute(
        text(
            "UPDATE erasure SET keys_destroyed = keys_destroyed + :destroyed,"
            " blobs_kept = blobs_kept + :kept WHERE job_id = :job_id"
        ),
        {"destroyed": fresh, "kept": len(shared), "job_id": request.job_id},
    )


_DECIDE = text(
    """
    WITH own_version AS (SELECT id FROM file_version WHERE file_id = :file_id)
    SELECT blob.id,
           EXISTS (SELECT 1 FROM blob_reference other WHERE other.blob_id = blob.id
                   AND other.version_id NOT IN (SELECT id FROM own_version)) AS is_shared,
           blob.destroyed_at IS NOT NULL AS was_condemned
    FROM blob
    WHERE blob.id IN (SELECT blob_id FROM blob_reference
                      WHERE version_id IN (SELECT id FROM own_version))
    """
)


async def condemned_blobs(session: AsyncSession, file_id: UUID) -> list[UUID]:
    """Blobs of the file that were condemned and whose keys may still be there."""
    rows = await session.execute(
        text(
            "SELECT DISTINCT blob.id FROM blob JOIN blob_reference"
            " ON blob_reference.blob_id = blob.id WHERE blob.destroyed_at IS NOT NULL"
            " AND blob_reference.version_id IN"
            " (SELECT id FROM file_version WHERE file_id = :file_id)"
        ),
        {"file_id": file_id},
    )
    return list(rows.scalars())


async def note_left_in_cold_store(session: AsyncSession, request: EraseFileInput) -> None:
    """Counts what the cold store, which is away, has of the blobs that are condemned, or may have: what
    lies there, and what was on its way to either store. What was counted before is not again."""
    await session.execute(
        text(
            "UPDATE erasure SET ciphertexts_left = greatest(ciphertexts_left, ("
            " SELECT count(*) FROM blob WHERE blob.id = ANY(:ids) AND (blob.tier = 'cold'"
            " OR EXISTS (SELECT 1 FROM tier_move WHERE tier_move.blob_id = blob.id))))"
            " WHERE job_id = :job_id"
        ),
        {
            "ids": await condemned_blobs(session, request.file_id),
            "job_id": request.job_id,
        },
    )


async def upload_parts(session: AsyncSession, file_id: UUID) -> list[UUID]:
    """Blobs of the parts that the file was joined from, where no worker has destroyed them yet."""
    rows = await session.execute(
        text(
            "SELECT blob_id FROM upload_part WHERE upload_id IN"
            " (SELECT id FROM upload WHERE file_id = :file_id)"
        ),
        {"file_id": file_id},
    )
    return list(rows.scalars())


async def forget_uploads(session: AsyncSession, file_id: UUID) -> None:
    """The parts' keys are gone: drops what names them, and that the file came by an upload."""
    await session.execute(
        text(
            "DELETE FROM upload_part WHERE upload_id IN"
            " (SELECT id FROM upload WHERE file_id = :file_id)"
        ),
        {"file_id": file_id},
    )
    await session.execute(
        text("UPDATE upload SET file_id = NULL, parts = 0 WHERE file_id = :file_id"),
        {"file_id": file_id},
    )


async def forget_condemned(
    session: AsyncSession, request: EraseFileInput, blob_ids: Sequence[UUID]
) -> ErasureCounts:
    """Their keys are gone: drops the references; the erasure's counts."""
    await _drop_references(session, request.file_id, blob_ids)
    counts = await session.execute(
        text(
            "SELECT keys_destroyed, blobs_kept, ciphertexts_left FROM erasure"
            " WHERE job_id = :job_id"
        ),
        {"job_id": request.job_id},
    )
    destroyed, kept, left = counts.one()
    return ErasureCounts(destroyed, kept, left)


async def finish_erasure(session: AsyncSession, request: EraseFileInput) -> FinishedErasure | None:
    """The file is erased, and the erasure's record says so. None where it said so before."""
    await session.execute(
        text(
            "UPDATE file SET state = 'erased', trashed_from = NULL, revision = revision + 1,"
            " updated_at = now() WHERE id = :file_id AND state <> 'erased'"
        ),
        {"file_id": request.file_id},
    )
    rows = await session.execute(
        text(
            "UPDATE erasure SET state = 'completed', finished_at = now(),"
            " finished_x = pg_current_xact_id(),"
            # One that takes over from another that failed finds the contents forgotten.
            " content_tags = coalesce(content_tags, (SELECT former.content_tags FROM erasure former"
            " WHERE former.file_id = erasure.file_id AND former.content_tags IS NOT NULL LIMIT 1)),"
            " reason = coalesce(reason, (SELECT former.reason FROM erasure former"
            " WHERE former.file_id = erasure.file_id AND former.reason IS NOT NULL LIMIT 1))"
            " WHERE job_id = :job_id AND finished_at IS NULL RETURNING keys_destroyed, blobs_kept,"
            " ciphertexts_left, id, requested_by, created_at, finished_at, reason, first_erased_at,"
            " content_tags"
        ),
        {"job_id": request.job_id},
    )
    finished = rows.one_or_none()
    return None if finished is None else FinishedErasure(*finished)


async def _drop_references(session: AsyncSession, file_id: UUID, blob_ids: Sequence[UUID]) -> None:
    await session.execute(
        text(
            "DELETE FROM blob_reference WHERE blob_id = ANY(:ids) AND version_id IN"
            " (SELECT id FROM file_version WHERE file_id = :file_id)"
        ),
        {"ids": list(blob_ids), "file_id": file_id},
    )
