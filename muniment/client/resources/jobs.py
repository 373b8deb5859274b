"""`/v1/jobs`: what is done to files. What a job's state forbids raises Conflict."""

from typing import Literal

from pydantic import JsonValue

from muniment.client.building import Id, get, given, post, segment
from muniment.client.models import Job, Listing
from muniment.client.operations import Operation
from muniment.client.parsing import read_model
from muniment.client.protocol import Call, Parameters

JobMessage = Literal["cancel", "pause", "resume"]
JobDecision = Literal["release", "reject"]

_PATH = "/v1/jobs"


def list_jobs(
    *, limit: int = 50, cursor: str | None = None, filters: Parameters | None = None
) -> Call[Listing[Job]]:
    return get(_PATH, Listing[Job], {"limit": limit, "cursor": cursor, **(filters or {})})


def get_job(job_id: Id) -> Call[Job]:
    return get(f"{_PATH}/{segment(job_id)}", Job)


def cancel_job(job_id: Id) -> Call[Job]:
    return _tell(job_id, "cancel")


def pause_job(job_id: Id) -> Call[Job]:
    return _tell(job_id, "pause")


def resume_job(job_id: Id) -> Call[Job]:
    return _tell(job_id, "resume")


def _tell(job_id: Id, message: JobMessage) -> Call[Job]:
    """Not repeated after it may have arrived: a second `cancel` is a conflict."""
    return Call("POST", f"{_PATH}/{segment(job_id)}/{message}", read_model(Job), repeatable=False)


def release_job(job_id: Id, *, reason: str | None = None) -> Call[Job]:
    """Lets a quarantined file go on; the reason is kept with the decision."""
    return _decide(job_id, "release", reason)


def reject_job(job_id: Id, *, reason: str | None = None) -> Call[Job]:
    """Refuses a quarantined file; the reason is kept with the decision."""
    return _decide(job_id, "reject", reason)


def _decide(job_id: Id, decision: JobDecision, reason: str | None) -> Call[Job]:
    path = f"{_PATH}/{segment(job_id)}/{decision}"
    return Call("POST", path, read_model(Job), json=given(reason=reason), repeatable=False)


def retry_job(
    job_id: Id, *, pages: tuple[int, ...] | None = None, password: str | None = None
) -> Call[Job]:
    """Starts a new job that heals an ended one, or only some of its pages. A password of an
    encrypted document has to be given again."""
    wanted: list[JsonValue] | None = [*pages] if pages else None
    json = given(pages=wanted, password=password)
    return Call(
        "POST", f"{_PATH}/{segment(job_id)}/retry", read_model(Job), json=json, creates=True
    )


def reprioritise_job(job_id: Id, priority: int) -> Call[Job]:
    """`priority` is 1 (first) to 5."""
    return post(f"{_PATH}/{segment(job_id)}/reprioritise", Job, {"priority": priority})


class JobOperations:
    """What both clients' jobs have in common."""

    list = Operation(list_jobs)
    get = Operation(get_job)
    cancel = Operation(cancel_job)
    pause = Operation(pause_job)
    resume = Operation(resume_job)
    release = Operation(release_job)
    reject = Operation(reject_job)
    retry = Operation(retry_job)
    reprioritise = Operation(reprioritise_job)
