"""A tenant's index of words is put in order."""

from temporalio import workflow

from muniment.contracts.merge_postings import (
    WORKFLOW,
    LexicalIndexActivities,
    MergePostingsInput,
)
from workflows.policies import MERGE


@workflow.defn(name=WORKFLOW)
class MergePostings:
    """One round. Ended at any point it leaves nothing that the next run does not find in rows."""

    @workflow.run
    async def run(self, request: MergePostingsInput) -> None:
        await workflow.execute_activity_method(
            LexicalIndexActivities.merge_postings, request, **MERGE
        )
