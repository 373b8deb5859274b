"""A Temporal Schedule per tenant for each kind of work that comes again and again."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from db.queries.integrity import tenants_after
from db.session import Database
from muniment.contracts import (
    evaluate_retrieval,
    merge_postings,
    move_tier,
    queues,
    remind_tasks,
    retention_sweep,
    verify_integrity,
)
from muniment.contracts.base import Contract
from muniment.contracts.search_attributes import TENANT
from muniment.errors import OrchestratorUnavailable
from muniment.task_group import of_each
from worker.rounds import go_round
from workflows.policies import (
    EVALUATION_PRIORITY,
    MERGE_PRIORITY,
    MOVE_PRIORITY,
    REMIND_PRIORITY,
    SWEEP_PRIORITY,
    VERIFY_PRIORITY,
    priority,
)

logger = logging.getLogger(__name__)

ROUND_SECONDS = 60.0
"""So soon does a new tenant have its schedule."""
FIRST_ROUND_SECONDS = 5.0
RPC_TIMEOUT = timedelta(seconds=10)
PAGE_TENANTS = 500
AT_ONCE = 16
"""Each is a request or two to Temporal, which has others to serve. Of more tenants than these is listed what
there is, before it is asked for one by one."""

Intervals = Sequence[ScheduleIntervalSpec]


@dataclass(frozen=True)
class TenantWork:
    """What a tenant's schedule starts; `summary` is what operators read in Temporal."""

    workflow: str
    schedule_id: Callable[[UUID], str]
    request: Callable[[UUID], Contract]
    summary: str
    level: int


VERIFICATION = TenantWork(
    verify_integrity.WORKFLOW,
    verify_integrity.schedule_id,
    lambda tenant_id: verify_integrity.VerifyIntegrityInput(tenant_id=tenant_id),
    "Verification of stored content",
    VERIFY_PRIORITY,
)
MOVES = TenantWork(
    move_tier.WORKFLOW,
    move_tier.schedule_id,
    lambda tenant_id: move_tier.MoveTierInput(tenant_id=tenant_id),
    "Moves between the tiers of the object store",
    MOVE_PRIORITY,
)
MERGES = TenantWork(
    merge_postings.WORKFLOW,
    merge_postings.schedule_id,
    lambda tenant_id: merge_postings.MergePostingsInput(tenant_id=tenant_id),
    "Maintenance of the index of words",
    MERGE_PRIORITY,
)
RETENTION = TenantWork(
    retention_sweep.WORKFLOW,
    retention_sweep.schedule_id,
    lambda tenant_id: retention_sweep.RetentionSweepInput(tenant_id=tenant_id),
    "Disposition of files that nothing keeps any more",
    SWEEP_PRIORITY,
)
EVALUATIONS = TenantWork(
    evaluate_retrieval.WORKFLOW,
    evaluate_retrieval.schedule_id,
    lambda tenant_id: evaluate_retrieval.EvaluateRetrievalInput(tenant_id=tenant_id),
    "Evaluation of searches and answers",
    EVALUATION_PRIORITY,
)
REMINDERS = TenantWork(
    remind_tasks.WORKFLOW,
    remind_tasks.schedule_id,
    lambda tenant_id: remind_tasks.RemindTasksInput(tenant_id=tenant_id),
    "Reminders of what waits for people",
    REMIND_PRIORITY,
)


class TenantSchedules:
    """Creating one twice is harmless, so any number of workers may run this.

    Each tenant is looked at once in the life of a process: settings do not change within it. With
    an interval of nothing there are no schedules, and those that were are deleted. An operator's
    pause of a schedule stays.
    """

    def __init__(
        self, database: Database, client: Client, work: TenantWork, interval: timedelta
    ) -> None:
        self._database = database
        self._client = client
        self._work = work
        self._interval = interval
        self._settled = set[UUID]()

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            ROUND_SECONDS,
            f"schedules of {self._work.workflow} were not made",
            first_after_seconds=FIRST_ROUND_SECONDS,
        )

    async def round(self) -> int:
        """Looks at tenants that this process has not seen; how many those were."""
        seen = 0
        after: UUID | None = None
        listed: Mapping[str, Intervals] | None = None
        while tenants := await self._tenants_after(after):
            after = tenants[-1]
            new = [tenant_id for tenant_id in tenants if tenant_id not in self._settled]
            seen += len(new)
            if len(new) > AT_ONCE:
                listed = await self._listed() if listed is None else listed
                self._settled |= {each for each in new if self._is_as_wanted(each, listed)}
                new = [tenant_id for tenant_id in new if tenant_id not in self._settled]
            await of_each(new, self._settle, AT_ONCE)
        return seen

    async def _listed(self) -> Mapping[str, Intervals]:
        """Those that there are, of other work too, a thousand to a request: a worker that starts finds nearly
        all of them as they are to be."""
        found: dict[str, Intervals] = {}
        try:
            async for each in await self._client.list_schedules(rpc_timeout=RPC_TIMEOUT):
                if each.schedule is not None:
                    found[each.id] = each.schedule.spec.intervals
        except (RPCError, TimeoutError) as error:
            raise OrchestratorUnavailable("Temporal did not list its schedules.") from error
        return found

    def _is_as_wanted(self, tenant_id: UUID, listed: Mapping[str, Intervals]) -> bool:
        """By its interval: a list does not tell the policy, which follows from that."""
        present = listed.get(self._work.schedule_id(tenant_id))
        if not self._interval:
            return present is None
        return present == _schedule(self._work, tenant_id, self._interval).spec.intervals

    async def _tenants_after(self, after: UUID | None) -> list[UUID]:
        async with self._database.across_tenants() as session:
            return await tenants_after(session, after, PAGE_TENANTS)

    async def _settle(self, tenant_id: UUID) -> None:
        """What was settled by the time that another fails is not looked at again."""
        handle = self._client.get_schedule_handle(self._work.schedule_id(tenant_id))
        try:
            if self._interval:
                await self._have(handle, tenant_id)
            else:
                await _delete(handle)
        except (RPCError, TimeoutError) as error:
            raise OrchestratorUnavailable("Temporal did not take a schedule.") from error
        self._settled.add(tenant_id)

    async def _have(self, handle: ScheduleHandle, tenant_id: UUID) -> None:
        """Made where there is none, and changed where it is another."""
        wanted = _schedule(self._work, tenant_id, self._interval)
        if await _is_adjusted(handle, wanted):
            return
        try:
            await self._client.create_schedule(
                handle.id,
                wanted,
                search_attributes=TypedSearchAttributes(
                    [SearchAttributePair(TENANT, str(tenant_id))]
                ),
                rpc_timeout=RPC_TIMEOUT,
            )
        except ScheduleAlreadyRunningError:
            # Another worker was first, with other settings perhaps.
            await _is_adjusted(handle, wanted)


async def _delete(handle: ScheduleHandle) -> None:
    try:
        await handle.delete(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _is_adjusted(handle: ScheduleHandle, wanted: Schedule) -> bool:
    """Gives the schedule that interval and policy, if it has others; false where there is none."""
    try:
        present = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).schedule
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    if (present.spec.intervals, present.policy) == (wanted.spec.intervals, wanted.policy):
        return True

    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = found.description.schedule
        schedule.spec, schedule.policy = wanted.spec, wanted.policy
        return ScheduleUpdate(schedule)

    async with asyncio.timeout(RPC_TIMEOUT.total_seconds() * 2):
        await handle.update(changed, rpc_timeout=RPC_TIMEOUT)
    logger.info("a tenant's schedule was changed", extra={"schedule": handle.id})
    return True


def _schedule(work: TenantWork, tenant_id: UUID, interval: timedelta) -> Schedule:
    # Tenants take their turns through the interval, each always at the same place in it.
    offset = timedelta(seconds=tenant_id.int % max(1, int(interval.total_seconds())))
    tenant = str(tenant_id)
    return Schedule(
        action=ScheduleActionStartWorkflow(
            work.workflow,
            work.request(tenant_id),
            id=work.schedule_id(tenant_id),
            task_queue=queues.WORKFLOWS,
            typed_search_attributes=TypedSearchAttributes([SearchAttributePair(TENANT, tenant)]),
            static_summary=work.summary,
            priority=priority(work.level, tenant),
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval, offset=offset)]),
        # A machine that is off at the same hour of every day catches up; of what was missed one run
        # is made, since the others would overlap with it.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=interval),
    )
