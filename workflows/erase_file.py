"""The erasure of a file: every store that keeps anything of it forgets it, then its keys die."""

from temporalio import workflow
from temporalio.exceptions import FailureError

from muniment.contracts.erase_file import (
    ERASURE_SIGNAL,
    WORKFLOW,
    EraseFileInput,
    EraseFileResult,
    ErasureActivities,
    ErasurePlan,
    ErasureStep,
)
from muniment.contracts.search_attributes import OUTCOME
from workflows.endings import to_the_end
from workflows.policies import ERASE, INGESTION_END

RUNNING_POLL_SECONDS = 2


@workflow.defn(name=WORKFLOW)
class EraseFile:
    """Takes no messages, a cancellation included: an erasure that was ordered is carried out."""

    @workflow.run
    async def run(self, request: EraseFileInput) -> EraseFileResult:
        return await to_the_end(self._erase(request))

    async def _erase(self, request: EraseFileInput) -> EraseFileResult:
        plan = await self._plan(request)
        await self._stop_ingestions(request, plan)
        for store in plan.stores:
            await self._erase_from(request, store)
        result = await self._destroy_keys(request)
        await self._finish(request)
        workflow.upsert_search_attributes([OUTCOME.value_set("erased")])
        return result

    async def _plan(self, request: EraseFileInput) -> ErasurePlan:
        return await workflow.execute_activity_method(
            ErasureActivities.plan_erasure, request, **ERASE
        )

    async def _stop_ingestions(self, request: EraseFileInput, plan: ErasurePlan) -> None:
        """Running ingestions are told, and waited for; one that does not end in time finds the
        file in erasure and keeps nothing."""
        for workflow_id in plan.running_workflow_ids:
            try:
                await workflow.get_external_workflow_handle(workflow_id).signal(ERASURE_SIGNAL)
            except FailureError:
                workflow.logger.info("ingestion already over", extra={"workflow_id": workflow_id})
        until = workflow.now() + INGESTION_END
        running = plan.running_workflow_ids
        while running and workflow.now() < until:
            await workflow.sleep(RUNNING_POLL_SECONDS)
            running = (await self._plan(request)).running_workflow_ids

    async def _erase_from(self, request: EraseFileInput, store: str) -> None:
        config = ERASE.copy()
        config["summary"] = store
        step = ErasureStep(request=request, store=store)
        await workflow.execute_activity_method(ErasureActivities.erase_from_store, step, **config)

    async def _destroy_keys(self, request: EraseFileInput) -> EraseFileResult:
        return await workflow.execute_activity_method(
            ErasureActivities.destroy_unreferenced_keys, request, **ERASE
        )

    async def _finish(self, request: EraseFileInput) -> None:
        await workflow.execute_activity_method(ErasureActivities.finish_erasure, request, **ERASE)
