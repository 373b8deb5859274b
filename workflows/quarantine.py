"""A file that the scan, or what was found in it, holds back, and the person who decides about it."""

from contextlib import suppress
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError

from muniment.contracts import members
from muniment.contracts.base import VersionReference
from muniment.contracts.jobs import JobState
from muniment.contracts.lifecycle import LifecycleActivities, ReadDecisionInput, Verdict, Waiting
from muniment.contracts.scan import ScanReason, ScanResult, ScanState, explanation
from muniment.contracts.tasks import TaskKind, task_id
from muniment.errors import (
    Conflict,
    ContentUnscannable,
    ContentWithheld,
    FindingsHeld,
    MalwareFound,
    MunimentError,
)
from workflows import policies
from workflows.failures import failure, problem
from workflows.job_row import JobRow
from workflows.steering import Steering
from workflows.tracking import Tracker

_TASKS = {Waiting.SCAN: TaskKind.QUARANTINE, Waiting.FINDINGS: TaskKind.FINDING_REVIEW}
_PARTICIPLES = {Verdict.RELEASE: "released", Verdict.REJECT: "rejected"}


class Quarantine:
    """One file's; without a verdict until a decision that stands in the database has been read."""

    def __init__(
        self, version: VersionReference, steering: Steering, tracker: Tracker, row: JobRow
    ) -> None:
        self._version = version
        self._steering = steering
        self._tracker = tracker
        self._row = row
        self._about = Waiting.SCAN
        self._verdict: Verdict | None = None

    async def hold(self, scan: ScanResult) -> None:
        """Waits, for days if need be, for a person; returns when released, raises ContentWithheld
        (as a failure) when rejected. Meanwhile the job tells what the scan said."""
        await self._wait(_finding(scan))
        await self._go_on(f"The file was rejected; the scan said {scan.state}.")

    async def hold_for_review(self, reason: str, review_seconds: float | None) -> None:
        """As `hold`, for what was found in the document; who lets the time pass has rejected it. What was
        decided before is over."""
        self._about, self._verdict = Waiting.FINDINGS, None
        try:
            await self._wait(FindingsHeld(reason), review_seconds)
        except TimeoutError:
            detail = "Nobody decided in time about what was found in the document."
            raise failure(problem(ContentWithheld(detail))) from None
        await self._go_on("The file was rejected because of what was found in it.")

    async def _wait(self, reason: MunimentError, seconds: float | None = None) -> None:
        """Until there is a verdict. Raises TimeoutError."""
        self._tracker.state = JobState.WAITING
        self._tracker.error = problem(reason)
        self._tracker.task = task_id(_TASKS[self._about], self._version.job_id)
        self._tracker.show()
        try:
            await self._row.record()
            await self._tell_parent()
            await workflow.wait_condition(lambda: self._verdict is not None, timeout=seconds)
        finally:
            self._tracker.error = self._tracker.task = None

    async def _go_on(self, rejected: str) -> None:
        if self._verdict is Verdict.REJECT:
            raise failure(problem(ContentWithheld(rejected)))
        self._tracker.state = JobState.RUNNING
        self._tracker.show()
        await self._row.record()

    async def decide(self, decision_id: UUID, verdict: Verdict) -> None:
        """Acts only on a decision that the API wrote down under a person's rights."""
        if self._verdict is not None:
            return
        about = self._about
        decision = await workflow.execute_activity_method(
            LifecycleActivities.read_decision,
            ReadDecisionInput(
                tenant_id=self._version.tenant_id,
                job_id=self._version.job_id,
                decision_id=decision_id,
                about=about,
            ),
            **self._steering.configured(policies.DECISION, verdict.value),
        )
        if decision.verdict is not verdict:
            raise failure(problem(Conflict("The decision that was recorded says otherwise.")))
        if self._about is not about:
            raise failure(problem(Conflict("The file waits for another decision by now.")))
        # Another one may have come first while this one was looked up.
        self.refuse_unless_open(verdict)
        self._verdict = verdict

    def refuse_unless_open(self, verdict: Verdict) -> None:
        """The same decision again is fine; another one after it is a Conflict."""
        if self._verdict is None:
            self._tracker.refuse_unless(JobState.WAITING, wish=_PARTICIPLES[verdict])
        elif self._verdict is not verdict:
            raise failure(problem(Conflict(f"The file was {_PARTICIPLES[self._verdict]} already.")))

    async def _tell_parent(self) -> None:
        """Whoever ingests the container need not wait for what a person decides."""
        parent = workflow.info().parent
        if parent is not None and parent.workflow_id.startswith(members.WORKFLOW_ID_PREFIX):
            with suppress(FailureError):  # it is over
                await workflow.get_external_workflow_handle(parent.workflow_id).signal(
                    members.MEMBER_WAITS_SIGNAL, str(self._version.version_id)
                )


def _finding(scan: ScanResult) -> MunimentError:
    """What the person who decides should know."""
    if scan.state is ScanState.INFECTED:
        return MalwareFound(explanation(ScanReason.MALWARE, scan.signature))
    return ContentUnscannable(explanation(scan.reason, scan.signature))
