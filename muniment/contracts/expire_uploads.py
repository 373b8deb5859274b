"""The `ExpireUploads` workflow: one per tenant that has unfinished uploads, which sleeps until the next of
them runs out of time and clears it away.

Histories carry the tenant and pauses: which uploads there are is in rows, so that a run which is lost is
started again and misses none.
"""

from abc import ABC, abstractmethod
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "ExpireUploads"
WAKE = "wake"
"""The signal to look again now: something expires sooner than the timer is set to."""


class ExpireUploadsInput(Contract):
    tenant_id: UUID


class ExpireUploadsResult(Contract):
    """`next_in_seconds`: until the next upload runs out of time; none where nothing is unfinished."""

    expired: int
    next_in_seconds: float | None = None


def workflow_id(tenant_id: UUID) -> str:
    return f"expire-uploads-{tenant_id}"


class UploadExpiryActivities(ABC):
    @activity.defn(name="expire_uploads")
    @abstractmethod
    async def expire_uploads(self, request: ExpireUploadsInput) -> ExpireUploadsResult:
        """Closes what ran out of time and destroys what came of it. Idempotent: a repetition goes on
        where the last attempt ended."""
