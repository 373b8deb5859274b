"""Requests that make a job: answered with it, done once for each Idempotency-Key."""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request
from pydantic import BaseModel, SecretStr
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api.authentication import Caller
from api.files.passwords import discard_password, seal_password, tag_of
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.jobs.service import recorded_jobs
from api.jobs.starting import start_job
from api.services import Services
from db.models import Job
from db.queries import jobs
from db.queries.job_passwords import keep_password
from muniment.contracts.jobs import JobKind


async def answer_with_job(
    request: Request,
    caller: Caller,
    services: Services,
    body: BaseModel,
    add: Callable[[AsyncSession], Awaitable[Job]],
    *,
    password: SecretStr | None = None,
) -> Response:
    """Commits the job that `add` gives, with the password of its document, and starts it unless it is
    at work already. Whatever goes wrong before the commit, no password stays behind."""
    async with idempotent(request, caller, services.database) as attempt:
        sealed = await seal_password(services, caller.tenant_id, password)
        try:
            if replayed := attempt.replay(hash_of(body.model_dump_json(), tag_of(sealed))):
                await discard_password(services, caller.access, sealed)
                return replayed
            async with services.database.transaction(caller.access) as session:
                job = await add(session)
                if job.kind != JobKind.ERASE_FILE:
                    # It is among those that are counted. What is to be erased never waits for a place.
                    await jobs.require_place(session, services.max_open_jobs, more=0)
                if sealed is not None:
                    await keep_password(session, job, sealed)
                answer = await recorded_answer(session, services, job)
                await attempt.complete(session, answer)
        except BaseException:
            await asyncio.shield(discard_password(services, caller.access, sealed))
            raise
    if job.started_at is None:
        await start_job(services, job)
    return json_answer(answer)


async def recorded_answer(session: AsyncSession, services: Services, job: Job) -> Answer:
    """202, with the job as it is recorded."""
    view = (await recorded_jobs(session, services.links, [job]))[0]
    return Answer(202, view.model_dump(mode="json"), f"/v1/jobs/{job.id}")
