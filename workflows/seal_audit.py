"""Audit trails are sealed."""

from temporalio import workflow

from muniment.contracts.seal_audit import (
    WORKFLOW,
    AuditActivities,
    SealAuditInput,
    SealAuditResult,
)
from workflows.policies import SEAL


@workflow.defn(name=WORKFLOW)
class SealAudit:
    """One round. Ended at any point it leaves nothing that the next run does not find in rows."""

    @workflow.run
    async def run(self, request: SealAuditInput) -> SealAuditResult:
        return await workflow.execute_activity_method(AuditActivities.seal_audit, request, **SEAL)
