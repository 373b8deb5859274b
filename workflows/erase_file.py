"""The erasure of a file: every store that keeps anything of it forgets it, then its keys die."""

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

from muniment.contracts.erase_file import (
    ERASURE_SIGNAL,
    HOLD_SIGNAL,
    WORKFLOW,
    EraseFileInput,
    EraseFileResult,
    ErasureActivities,
    ErasurePlan,
    ErasureStep,
)
from muniment.contracts.search_attributes import OUTCOME
from muniment.contracts.tasks import TaskKind
from workflows.endings import to_the_end
from workflows.failures import is_file_held
from workflows.policies import ERASE, HOLD_LOOK, INGESTION_END

RUNNING_POLL_SECONDS = 2


@workflow.defn(name=WORKFLOW)
class EraseFile:
    """Not even a cancellation stops it: an erasure that was ordered is carried out, once nothing keeps the
    file any more."""

    def __init__(self) -> None:
        self._is_woken = False

    @workflow.signal(name=HOLD_SIGNAL)
    def hold_changed(self) -> None:
        self._is_woken = True

    @workflow.run
    async def run(self, request: EraseFileInput) -> EraseFileResult:
        result = await to_the_end(self._erase_in_time(request))
        if result is None:
            workflow.continue_as_new(request)
        return result

    async def _erase_in_time(self, request: EraseFileInput) -> EraseFileResult | None:
        """None where it has waited so long that it goes on in another run."""
        while not workflow.info().is_continue_as_new_suggested():
            try:
                return await self._erase(request)
            except ActivityError as error:
                if not is_file_held(error):
                    raise
            await self._wait_while_held(request)
        return None

    async def _wait_while_held(self, request: EraseFileInput) -> None:
        """Rows are the truth about holds; a signal only says that it is time to look."""
        workflow.set_current_details(
            "Held: it goes on when no hold and no lock keeps the file any more."
            f" Tasks of `{TaskKind.HELD_ERASURE}` in `/v1/tasks` tell of it."
        )
        while True:
            self._is_woken = False
            held = await workflow.execute_activity_method(
                ErasureActivities.hold_erasure, request, **ERASE
            )
            if not held.is_held or workflow.info().is_continue_as_new_suggested():
                workflow.set_current_details("")
                return
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._is_woken, timeout=HOLD_LOOK)

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
