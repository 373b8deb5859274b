"""What a certificate of erasure states."""

from collections.abc import Iterator
from datetime import timedelta

from pydantic import JsonValue

from activities.erasure.stores import COVERED_BY_KEY_DESTRUCTION, STORES
from db.queries.erasure import FinishedErasure
from muniment.contracts.erase_file import EraseFileInput
from muniment.erasure_certificates import ErasureStatement, LivesOn, Method, Survivor


def payload_of(
    request: EraseFileInput, finished: FinishedErasure, backup_days: int | None
) -> dict[str, JsonValue]:
    """The payload of the event that says that the file was erased."""
    statement = ErasureStatement(
        erasure_id=finished.id,
        file_id=request.file_id,
        job_id=request.job_id,
        requested_by=finished.requested_by,
        requested_at=finished.created_at,
        reason=finished.reason,
        replay_of=finished.first_erased_at,
        finished_at=finished.finished_at,
        methods=tuple(_methods(finished)),
        stores=(*(store.name for store in STORES), *sorted(COVERED_BY_KEY_DESTRUCTION)),
        contents=tuple(tag.hex() for tag in finished.content_tags or ()),
        keys_destroyed=finished.keys_destroyed,
        lives_on=tuple(_what_lives_on(finished, backup_days)),
    )
    payload: dict[str, JsonValue] = statement.model_dump(mode="json")
    return payload


def _methods(finished: FinishedErasure) -> Iterator[Method]:
    """What was done to at least one content; of contents that other files hold nothing was."""
    if finished.keys_destroyed:
        yield Method.DATA_KEY_DESTROYED
    if finished.keys_destroyed > finished.ciphertexts_left:
        yield Method.CIPHERTEXT_DELETED
    yield Method.ROWS_DELETED


def _what_lives_on(finished: FinishedErasure, backup_days: int | None) -> Iterator[LivesOn]:
    if finished.blobs_kept:
        yield LivesOn(
            what=Survivor.SHARED_CONTENTS,
            why="other files of the tenant held the same contents when it was decided",
            count=finished.blobs_kept,
        )
    if finished.ciphertexts_left:
        yield LivesOn(
            what=Survivor.CIPHERTEXTS,
            why="the cold store was away; their keys are destroyed, and nobody can open them",
            count=finished.ciphertexts_left,
        )
    yield LivesOn(
        what=Survivor.DATABASE_FREE_SPACE,
        why="rows that were deleted stay on PostgreSQL's disk, in what no query reads, until it vacuums their"
        " tables and reuses the space and the log; when their tables had been vacuumed, the erasure says"
        " (`vacuumed_at`)",
    )
    expiry = None if backup_days is None else finished.finished_at + timedelta(days=backup_days)
    yield LivesOn(
        what=Survivor.BACKUPS,
        why="backups that were made before are changed by nobody; those of the database's files that are made"
        " later hold the deleted rows, too, until they are vacuumed"
        + ("; when backups expire is not known" if expiry is None else ""),
        until=expiry,
    )
    yield LivesOn(
        what=Survivor.TOMBSTONE,
        why="ids, sizes and times of the file, its versions and jobs, so that the trail means something",
    )
    yield LivesOn(
        what=Survivor.AUDIT_EVENTS,
        why="evidence of what was done: ids, counts and addresses that acts came from; no content",
    )
    yield LivesOn(
        what=Survivor.RECORDS,
        why="the ledger of erasures beside the keys, histories of workflows until they expire, and what legal"
        " holds looked for: ids and times, and for holds their own words; keyed hashes of the contents, which"
        " tell nothing without the tenant's key",
    )
