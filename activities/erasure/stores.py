"""Every store that keeps anything of a file, and how it forgets it.

A new table or cache that refers to a file, a version or a job is registered here, or exempted with
its reason; tests/conformance/test_erasure_registry.py fails until it is.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import answer_cache, erasure, subject_requests


class ErasableStore(Protocol):
    """A store that can forget a file with all its versions. `tables` are those that it covers."""

    @property
    def name(self) -> str: ...

    @property
    def tables(self) -> frozenset[str]: ...

    @property
    def can_be_rebuilt(self) -> bool:
        """Whether reading the content again makes what it forgets. The first store that it does not is the
        point of no return."""
        ...

    async def erase(self, session: AsyncSession, file_id: UUID) -> None:
        """Forgets the file, within the transaction; forgetting what is gone changes nothing."""
        ...

    async def erase_rest(self, session: AsyncSession, file_id: UUID) -> bool:
        """A part of what takes more than a transaction, each part one of its own, behind `erase`; whether
        there may be more. PostingsBusy where it is not its turn yet."""
        ...


@dataclass(frozen=True)
class TableStore:
    """Tables that a query of db/queries/erasure.py empties of the file, `rest` what it leaves."""

    name: str
    tables: frozenset[str]
    query: Callable[[AsyncSession, UUID], Awaitable[None]]
    rest: Callable[[AsyncSession, UUID], Awaitable[bool]] | None = None
    can_be_rebuilt: bool = False

    async def erase(self, session: AsyncSession, file_id: UUID) -> None:
        await self.query(session, file_id)

    async def erase_rest(self, session: AsyncSession, file_id: UUID) -> bool:
        return self.rest is not None and await self.rest(session, file_id)


STORES: tuple[ErasableStore, ...] = (
    # What is searched goes first: nothing is found while the rest is being erased.
    TableStore(
        "search_index",
        frozenset(
            {
                "chunk",
                "lexical_document",
                "posting",
                "posting_removal",
                "unmerged_posting",
                "embedding",
            }
        ),
        erasure.erase_search_index,
        erasure.erase_postings,
        can_be_rebuilt=True,
    ),
    TableStore(
        "cached_responses",
        frozenset({"cached_response"}),
        answer_cache.forget_file,
        can_be_rebuilt=True,
    ),
    TableStore(
        "pages", frozenset({"page", "page_layer"}), erasure.erase_pages, can_be_rebuilt=True
    ),
    TableStore(
        "reading_comparisons",
        frozenset({"reading_comparison", "compared_page"}),
        erasure.erase_comparisons,
        can_be_rebuilt=True,
    ),
    TableStore(
        "findings",
        frozenset({"finding", "finding_judgement"}),
        erasure.erase_findings,
        can_be_rebuilt=True,
    ),
    TableStore(
        "stage_outputs",
        frozenset({"stage_output"}),
        erasure.erase_stage_outputs,
        can_be_rebuilt=True,
    ),
    # From here on nothing can be made again: a hold comes too late.
    TableStore("job_events", frozenset({"job_event"}), erasure.erase_job_events),
    TableStore("import_names", frozenset({"batch_item"}), erasure.erase_import_names),
    TableStore("accesses", frozenset({"file_access"}), erasure.erase_accesses),
    TableStore("grants", frozenset({"access_grant"}), erasure.erase_grants),
    TableStore(
        "vector_stores",
        frozenset({"vector_store_file", "vector_store_batch"}),
        erasure.erase_vector_stores,
    ),
    TableStore(
        "annotations",
        frozenset({"annotation", "annotation_anchor", "annotation_comment"}),
        erasure.erase_annotations,
    ),
    TableStore(
        "conversations",
        frozenset({"message_source", "conversation_message", "answer_event", "feedback"}),
        erasure.erase_conversations,
    ),
    TableStore(
        "shares", frozenset({"share_link", "share_session", "share_try"}), erasure.erase_shares
    ),
    TableStore(
        "listed_answers",
        frozenset({"question_list_item", "question_list_source"}),
        erasure.erase_listed_answers,
    ),
    TableStore("subject_exports", frozenset({"subject_request"}), subject_requests.forget_exports),
    # Behind whatever may still be taken away while the file is being erased, which it would tell of.
    TableStore("activity_feed", frozenset({"activity"}), erasure.erase_activity_feed),
    TableStore(
        "idempotency_responses",
        frozenset({"idempotency_key"}),
        erasure.erase_idempotency_responses,
    ),
    TableStore("file_and_versions", frozenset({"file", "file_version"}), erasure.blank_file),
)
"""In the order in which they are run: what can be rebuilt first. Blobs come after all of them:
`destroy_unreferenced_keys`
drops `blob_reference`, `stage_result` and `integrity_fault` rows with the keys, and parts of the file's
uploads. A `tier_move` stays until a mover has seen that what it moves is destroyed, and has deleted
what it had copied meanwhile."""

COVERED_BY_KEY_DESTRUCTION = frozenset(
    {
        *("blob", "blob_reference", "stage_result", "integrity_fault", "tier_move"),
        *("upload", "upload_part"),
    }
)

EXEMPT: Mapping[str, str] = MappingProxyType(
    {
        "batch": "what was asked for, and counts; the object that a listing has come to is forgotten"
        " when it ends",
        "audit_event": "append-only evidence; holds ids, counts and addresses that acts came from, never"
        " content; its details are erased event by event, by an administrator",
        "decision": "append-only evidence of who released or rejected; holds no content",
        "erasure": "the record of the erasure itself",
        "job_password": "destroyed as soon as its job has ended, which an erasure waits for",
        "legal_hold_file": "append-only evidence of what was held; ids",
        "legal_hold_item": "append-only evidence of what was to be held; ids, and what a person looked for",
        "disposition": "append-only evidence of who had the file deleted or kept; ids",
        "retention_lock": "evidence of until when the file had to be kept; ids and times",
        "job": "states, counts and times; problems never quote a document",
        "subject_request_item": "evidence of what was found to name a person; ids and counts",
        "webhook_event": "ids and states that are still to be sent, `file.erased` among them; forgotten"
        " after the days that are set",
        "webhook_secret": "a key that signs, of no file",
    }
)
"""Tables that refer to files and are kept, each with its reason."""


def store_named(name: str) -> ErasableStore | None:
    """The registered store of that name."""
    return next((store for store in STORES if store.name == name), None)
