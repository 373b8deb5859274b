"""Asks Temporal to run a job that was committed. The reconciler does it later where this fails."""

import asyncio
import logging

from temporalio.service import RPCError

from api.services import Services
from db.models import Job
from db.queries import jobs
from db.session import Access
from muniment.errors import MunimentError
from workflows.starting import start_job as start_workflow_of

logger = logging.getLogger(__name__)


async def start_job(services: Services, job: Job) -> bool:
    """Whether Temporal has the job now. Never raises and never waits long: the job is committed,
    and what is not started here is started within seconds by the reconciler."""
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            run_id = await start_workflow_of(services.temporal.client, job)
            access = Access(job.tenant_id)
            async with services.database.transaction(access, plans_once=True) as session:
                await jobs.mark_started(session, job.id, run_id)
    except (RPCError, TimeoutError, MunimentError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        logger.warning(
            "a job waits for the reconciler",
            extra={"job_id": str(job.id), "reason": type(error).__name__},
        )
        return False
    return True
