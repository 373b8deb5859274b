"""The `MergePostings` workflow: the index of words is put in order, in which each publication leaves small
rows, and each deletion numbers of passages that are gone.

Histories carry the tenant and counts: what there is to do is in rows, so that a run that is lost costs the
next one some more work.
"""

from abc import ABC, abstractmethod
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "MergePostings"


class MergePostingsInput(Contract):
    tenant_id: UUID


class MergePostingsResult(Contract):
    """Deletions that were carried out, and rows of postings that were merged and that came of it."""

    removals: int
    rows_before: int
    rows_after: int


def schedule_id(tenant_id: UUID) -> str:
    """Of the tenant's schedule; Temporal names the workflows that it starts after it."""
    return f"merge-postings-{tenant_id}"


class LexicalIndexActivities(ABC):
    @activity.defn(name="merge_postings")
    @abstractmethod
    async def merge_postings(self, request: MergePostingsInput) -> MergePostingsResult:
        """Takes what was deleted out of the postings, and merges small rows. Each step is a transaction,
        after which searches find what they found before; a repetition goes on with what is left."""
