"""The `SealAudit` workflow: what was committed to the audit trails gets its place in their trees, and a
checkpoint over it is signed.

One run at a time, of all tenants that have something: it is started when there is something to seal, so that
nobody's silence costs anything. Histories carry counts.
"""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "SealAudit"
WORKFLOW_ID = "seal-audit"


class SealAuditInput(Contract):
    """All that is to be sealed is in rows."""


class SealAuditResult(Contract):
    """What was sealed, and what was copied to the second place. `refused`: trails that are not what was
    sealed of them, which are left as they are."""

    events: int
    checkpoints: int
    copies: int
    refused: int


class AuditActivities(ABC):
    @activity.defn(name="seal_audit")
    @abstractmethod
    async def seal_audit(self, request: SealAuditInput) -> SealAuditResult:
        """Seals batch by batch, each of them a transaction, and ends in time; what is left is found by the
        next run, which goes on there."""
