"""The child workflow that makes files of a container's members and ingests each of them."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowHandle

from muniment.contracts.ingest_file import IngestFileResult
from muniment.contracts.jobs import JobState
from muniment.contracts.members import (
    MEMBER_WAITS_SIGNAL,
    WORKFLOW,
    AdmitMemberInput,
    IngestMembersInput,
    IngestMembersResult,
    MembersActivities,
)
from workflows import policies
from workflows.ingestion_child import start_ingestion_child
from workflows.steering import Steering


@workflow.defn(name=WORKFLOW)
class IngestMembers:
    """A window of members at a time, each an `IngestFile` with a job of its own. A member that
    fails, or waits for a person, leaves the others alone."""

    @workflow.init
    def __init__(self, request: IngestMembersInput) -> None:
        self._version = request.version
        self._steering = Steering(request.priority, str(request.version.tenant_id))
        self._degraded = request.degraded
        self._waiting = set[str]()

    @workflow.run
    async def run(self, request: IngestMembersInput) -> IngestMembersResult:
        taken = await self._unpack() if request.taken is None else request.taken
        until = min(taken, request.next_ordinal + policies.MEMBERS_PER_RUN)
        await self._ingest_all(range(request.next_ordinal, until))
        if until < taken:
            workflow.continue_as_new(
                request.model_copy(
                    update={"taken": taken, "next_ordinal": until, "degraded": self._degraded}
                )
            )
        return IngestMembersResult(degraded=self._degraded)

    @workflow.signal(name=MEMBER_WAITS_SIGNAL)
    def member_waits(self, version_id: str) -> None:
        self._waiting.add(version_id)

    async def _unpack(self) -> int:
        unpacked = await workflow.execute_activity_method(
            MembersActivities.unpack_members,
            self._version,
            **self._steering.configured(policies.UNPACK, "unpack"),
        )
        self._degraded = self._degraded or unpacked.refused > 0
        return unpacked.taken

    async def _ingest_all(self, ordinals: range) -> None:
        """The next begins as soon as one of the window is over."""
        running: list[asyncio.Task[None]] = []
        try:
            for ordinal in ordinals:
                if len(running) >= policies.MEMBER_WINDOW:
                    done, pending = await workflow.wait(
                        running, return_when=asyncio.FIRST_COMPLETED
                    )
                    running = list(pending)
                    for task in done:
                        task.result()
                running.append(asyncio.create_task(self._ingest(ordinal)))
            await asyncio.gather(*running)
        except (FailureError, asyncio.CancelledError):
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            raise

    async def _ingest(self, ordinal: int) -> None:
        admitted = await workflow.execute_activity_method(
            MembersActivities.admit_member,
            AdmitMemberInput(version=self._version, ordinal=ordinal, priority=self._steering.level),
            **self._steering.configured(policies.RECORD, f"member {ordinal}"),
        )
        if admitted.version is None:
            self._degraded = self._degraded or admitted.degraded
            return
        try:
            child = await start_ingestion_child(
                admitted.version, admitted.workflow_id, self._steering
            )
        except WorkflowAlreadyStartedError:
            return  # somebody has the member ingested already, and watches over it
        if not await self._completed(child, str(admitted.version.version_id)):
            self._degraded = True

    async def _completed(
        self, child: ChildWorkflowHandle[object, IngestFileResult], version_id: str
    ) -> bool:
        """Whether all of the member was read; False at once when it waits for a person."""
        try:
            await workflow.wait_condition(lambda: child.done() or version_id in self._waiting)
        except asyncio.CancelledError:
            child.cancel()
            await asyncio.gather(child, return_exceptions=True)
            raise
        if not child.done():
            return False
        try:
            result = await child
        except FailureError:
            return False
        return result.state is JobState.COMPLETED and not result.degraded
