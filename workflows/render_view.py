"""Makes one view of a version, for whoever waits for it."""

from temporalio import workflow

from muniment.contracts.render_view import (
    WORKFLOW,
    RedactedView,
    RenderViewActivities,
    RenderViewInput,
    RenderViewResult,
)
from workflows.policies import REDACT, RENDER


@workflow.defn(name=WORKFLOW)
class RenderView:
    """A workflow and no job: nothing of the version changes, and nobody follows it. Its id makes it
    one for all who ask at the same time."""

    @workflow.run
    async def run(self, request: RenderViewInput) -> RenderViewResult:
        policy = REDACT if isinstance(request.view, RedactedView) else RENDER
        return await workflow.execute_activity_method(
            RenderViewActivities.render_view, request, **policy
        )
