"""Jobs: what the workflow says, what the row says, commands, decisions, retries."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import psycopg

from api.jobs.estimate import (
    SECONDS_PER_CHARACTER,
    SECONDS_PER_OCR_PAGE,
    STARTING_SECONDS,
    estimate_seconds,
)
from api.jobs.view import JobFacts, WorkflowLinks
from db.models import Job, new_id
from muniment.contracts.jobs import (
    JobProgress,
    JobSnapshot,
    JobState,
    PageCounts,
    ReadingCounts,
    StageName,
    StageProgress,
    StageState,
)
from tests.api.conftest import audit_actions
from tests.conftest import TenantFixture
from tests.patience import on_a_busy_machine


async def ingest(client: httpx.AsyncClient, name: str = "a.txt", priority: int = 3) -> str:
    answer = await client.post(f"/v1/files?name={name}&priority={priority}", content=name.encode())
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job"]["id"])


async def test_a_running_job_is_what_its_workflow_says(
    worker: None, client: httpx.AsyncClient
) -> None:
    job_id = await ingest(client)
    job = await _shown(client, job_id, stale=False)
    assert (job["state"], job["stage"], job["stale"]) == ("running", "read", False)
    assert job["pages"] == {"total": 10, "done": 5, "failed": 0, "reused": 0}
    assert job["percent"] == 36.0
    assert len(job["stages"]) == 9
    assert job["temporal_url"] == (
        f"http://temporal.test:8233/namespaces/default/workflows/{job['workflow_id']}"
        f"/{job['run_id']}/history"
    )


async def test_without_a_worker_the_row_answers_stale_and_soon(client: httpx.AsyncClient) -> None:
    job_id = await ingest(client)
    started = asyncio.get_running_loop().time()
    job = (await client.get(f"/v1/jobs/{job_id}")).json()
    assert asyncio.get_running_loop().time() - started < on_a_busy_machine(8)
    assert (job["state"], job["stale"], job["percent"]) == ("queued", True, 0)


async def test_commands_are_updates_that_the_workflow_may_refuse(
    worker: None, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    job_id = await ingest(client)
    await _shown(client, job_id, stale=False)  # a command does not wait long for a first task
    paused = await client.post(f"/v1/jobs/{job_id}/pause")
    assert paused.status_code == 200, paused.text
    shown = await _shown(client, job_id, stale=False)  # a worker that is late answers no query
    assert (shown["state"], shown["eta_seconds"]) == ("paused", None)
    refused = await client.post(f"/v1/jobs/{job_id}/pause")
    assert refused.status_code == 409
    assert refused.json()["detail"] == "the job is paused already"
    resumed = await client.post(f"/v1/jobs/{job_id}/resume")
    assert resumed.status_code == 200, resumed.text
    assert (await _shown(client, job_id, stale=False))["state"] == "running"
    first = await client.post(f"/v1/jobs/{job_id}/reprioritise", json={"priority": 1})
    assert first.json()["priority"] == 1
    assert (await client.post(f"/v1/jobs/{job_id}/reprioritise", json={"priority": 0})).status_code
    cancelled = await client.post(f"/v1/jobs/{job_id}/cancel")
    assert cancelled.status_code == 200
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    # What was refused was asked for all the same.
    asked = ["pause", "pause", "resume", "reprioritise", "cancel"]
    assert actions == ["file.created", *(f"job.{each}" for each in asked)]


async def test_a_decision_is_written_before_the_workflow_hears_of_it(
    worker: None, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    job_id = await ingest(client, priority=5)
    await _shown(client, job_id, stale=False)
    released = await client.post(f"/v1/jobs/{job_id}/release", json={"reason": "false alarm"})
    assert (released.status_code, released.json()["state"]) == (200, "running"), released.text
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT verdict, reason, principal_id FROM decision WHERE job_id = %s", (job_id,)
        ).fetchall()
    assert rows == [("release", "false alarm", tenant.principal_id)]
    assert "job.release" in audit_actions(postgres_dsn, tenant.tenant_id)
    again = await client.post(f"/v1/jobs/{job_id}/reject")
    assert again.status_code == 409


async def test_an_erasure_takes_no_command_and_so_cannot_be_stopped_half_way(
    worker: None, client: httpx.AsyncClient
) -> None:
    job_id = await ingest(client)
    file_id = (await client.get(f"/v1/jobs/{job_id}")).json()["file_id"]
    answer = await client.delete(f"/v1/files/{file_id}", params={"permanent": "true"})
    assert answer.status_code == 202, answer.text
    erasure_id = answer.json()["id"]
    for command in ("cancel", "pause"):
        assert (await client.post(f"/v1/jobs/{erasure_id}/{command}")).status_code == 409


async def test_a_command_that_nobody_takes_is_503(client: httpx.AsyncClient) -> None:
    job_id = await ingest(client)
    answer = await client.post(f"/v1/jobs/{job_id}/pause")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


async def test_a_finished_job_takes_no_command_and_only_a_failed_one_a_retry(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    job_id = await ingest(client)
    early = await client.post(f"/v1/jobs/{job_id}/retry")
    assert early.status_code == 409
    finish(postgres_dsn, job_id, "failed")
    assert (await client.post(f"/v1/jobs/{job_id}/pause")).status_code == 409
    headers = {"Idempotency-Key": "retry"}
    retried = await client.post(f"/v1/jobs/{job_id}/retry", headers=headers)
    assert retried.status_code == 202, retried.text
    job = retried.json()
    assert (job["retry_of"], job["state"], job["version"]) == (job_id, "queued", 1)
    assert job["id"] != job_id
    assert job["workflow_id"].endswith(job["id"])
    same = await client.post(f"/v1/jobs/{job_id}/retry", headers=headers)
    assert same.json()["id"] == job["id"]
    busy = await client.post(f"/v1/jobs/{job_id}/retry")
    assert busy.status_code == 409
    file = (await client.get(f"/v1/files/{job['file_id']}")).json()
    assert file["job"]["id"] == job["id"]


async def test_the_same_upload_heals_a_failed_ingestion(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    job_id = await ingest(client)
    finish(postgres_dsn, job_id, "cancelled")
    again = await client.post("/v1/files?name=a.txt", content=b"a.txt")
    assert (again.status_code, again.json()["deduplicated"]) == (200, True)
    assert again.json()["job"]["retry_of"] == job_id


async def test_jobs_are_listed_newest_first_by_state(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    first, second = await ingest(client, "a"), await ingest(client, "b")
    finish(postgres_dsn, first, "completed")
    listed = (await client.get("/v1/jobs", params={"limit": "1"})).json()
    assert [each["id"] for each in listed["data"]] == [second]
    rest = (await client.get("/v1/jobs", params={"cursor": listed["next_cursor"]})).json()
    assert [each["id"] for each in rest["data"]] == [first]
    assert rest["data"][0]["percent"] == 100
    done = (await client.get("/v1/jobs", params={"state": "completed"})).json()
    assert [each["id"] for each in done["data"]] == [first]


EMBEDDING = StageProgress(name=StageName.EMBED)


def reading(state: StageState, began: datetime, **more: object) -> StageProgress:
    return StageProgress.model_validate(
        {"name": StageName.READ, "state": state, "started_at": began, **more}
    )


def running(stage: StageProgress, pages: PageCounts, state: JobState) -> JobSnapshot:
    return JobSnapshot(
        state=state, stage=stage.name, stages=(stage, EMBEDDING), pages=pages, percent=50.0,
        degraded=False, priority=3, error=None, finished_at=None,
    )  # fmt: skip


def test_the_estimate_goes_by_the_pages_a_second_of_this_job() -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    began = present - timedelta(seconds=120 + STARTING_SECONDS)
    pages = PageCounts(total=100, done=39, failed=1, reused=10)
    counts = ReadingCounts(characters=39 * 1_000)
    after = 99 * 1_000 * SECONDS_PER_CHARACTER

    def estimate(state: JobState = JobState.RUNNING, **more: object) -> float | None:
        stage = reading(StageState.RUNNING, began, counts=counts, **more)
        return estimate_seconds(running(stage, pages, state), present)

    assert estimate() == round(60 * 120 / 30 + after, 1)
    assert estimate(idle_seconds=60.0) == round(60 * 60 / 30 + after, 1)
    assert estimate(JobState.PAUSED) is None
    assert estimate(JobState.WAITING) is None
    assert estimate(JobState.COMPLETED) == 0


def test_scans_that_lag_behind_the_text_pages_decide() -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    began = present - timedelta(seconds=100 + STARTING_SECONDS)
    pages = PageCounts(total=1000, done=880)

    def estimate(total: int, settled: int, reused: int = 0, failed: int = 0) -> float | None:
        counts = ReadingCounts(ocr_total=total, ocr_settled=settled, ocr_reused=reused)
        stage = reading(StageState.RUNNING, began, counts=counts)
        over = pages.model_copy(update={"reused": reused, "done": 880 - failed, "failed": failed})
        return estimate_seconds(running(stage, over, JobState.RUNNING), present)

    assert estimate(100, 5) == 95 * 100 / 5
    assert estimate(100, 5, failed=5) == 95 * 100 / 5
    assert estimate(100, 40, reused=36) == 60 * 100 / 4
    assert estimate(100, 0) == 100 * SECONDS_PER_OCR_PAGE
    assert estimate(100, 2) == round(98 * (SECONDS_PER_OCR_PAGE + 100) / 3, 1)
    assert estimate(20, 20) == round(120 * 100 / 860, 1)


def test_a_lone_page_of_text_among_scans_does_not_hide_the_estimate() -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    stage = reading(
        StageState.RUNNING,
        present - timedelta(seconds=100 + STARTING_SECONDS),
        counts=ReadingCounts(ocr_total=499, ocr_settled=100),
    )
    snapshot = running(stage, PageCounts(total=500, done=100), JobState.RUNNING)
    assert estimate_seconds(snapshot, present) == 399


def test_what_nothing_is_embedded_of_ends_with_its_reading() -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    stage = reading(
        StageState.RUNNING,
        present - timedelta(seconds=100 + STARTING_SECONDS),
        counts=ReadingCounts(characters=1_000_000),
    )
    snapshot = running(stage, PageCounts(total=100, done=50), JobState.RUNNING)
    compared = snapshot.model_copy(update={"stages": (stage,)})
    assert estimate_seconds(compared, present) == 100


def test_once_embedding_is_under_way_its_own_pace_counts() -> None:
    present = datetime.now(UTC)
    read = StageProgress(
        name=StageName.READ,
        state=StageState.COMPLETED,
        started_at=present - timedelta(seconds=400),
        finished_at=present - timedelta(seconds=300),
    )
    embed = StageProgress(
        name=StageName.EMBED,
        state=StageState.RUNNING,
        started_at=present - timedelta(seconds=100 + STARTING_SECONDS),
        done=250,
        total=1000,
    )
    snapshot = running(read, PageCounts(total=2000, done=2000), JobState.RUNNING)
    assert estimate_seconds(snapshot, present) is None  # past the assumption
    snapshot = snapshot.model_copy(update={"stages": (read, embed)})
    assert estimate_seconds(snapshot, present) == 300


def test_at_the_beginning_half_of_the_time_counts_at_least() -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    for began, at_work in ((1.0, 0.5), (2.0, 1.5)):
        stage = reading(StageState.RUNNING, present - timedelta(seconds=began))
        snapshot = running(stage, PageCounts(total=110, done=10), JobState.RUNNING)
        assert estimate_seconds(snapshot, present) == round(100 * at_work / 10, 1)
    embed = StageProgress(
        name=StageName.EMBED,
        state=StageState.RUNNING,
        started_at=present - timedelta(seconds=0.2),
        done=1,
        total=101,
    )
    read = reading(StageState.COMPLETED, present, finished_at=present)
    snapshot = running(read, PageCounts(total=1, done=1), JobState.RUNNING)
    snapshot = snapshot.model_copy(update={"stages": (read, embed)})
    assert estimate_seconds(snapshot, present) == 10.0


def test_nothing_is_estimated_before_pages_were_counted() -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    stage = reading(StageState.RUNNING, present - timedelta(seconds=9))
    few = PageCounts(total=100, done=7)
    assert estimate_seconds(running(stage, few, JobState.RUNNING), present) is None
    all_reused = PageCounts(total=100, done=50, reused=50)
    assert estimate_seconds(running(stage, all_reused, JobState.RUNNING), present) is None
    pending = StageProgress(name=StageName.READ)
    assert estimate_seconds(running(pending, few, JobState.RUNNING), present) is None


def test_after_reading_the_estimate_falls_with_the_time_and_ends_in_null() -> None:
    read_at = datetime(2026, 1, 1, tzinfo=UTC)
    stage = reading(
        StageState.COMPLETED,
        read_at - timedelta(seconds=60),
        finished_at=read_at,
        counts=ReadingCounts(characters=1_000_000),
    )
    snapshot = running(stage, PageCounts(total=1000, done=1000), JobState.RUNNING)
    whole = 1_000_000 * SECONDS_PER_CHARACTER
    assert estimate_seconds(snapshot, read_at) == whole
    assert estimate_seconds(snapshot, read_at + timedelta(seconds=5)) == whole - 5
    assert estimate_seconds(snapshot, read_at + timedelta(seconds=whole + 1)) is None
    assert estimate_seconds(snapshot, read_at, 0.001) == 1_000


def test_a_job_is_over_once_that_is_recorded_and_never_falls_back() -> None:
    record = Job(
        tenant_id=new_id(), kind="ingest_file", file_id=new_id(), workflow_id="w",
        state="running", percent=50.0, pages_done=7, pages_total=10,
    )  # fmt: skip
    facts = JobFacts(record, 1, WorkflowLinks(None, "default"))
    ended = JobProgress(job_id=record.id, state=JobState.FAILED, pages=PageCounts(total=10, done=3))
    told = facts.asked(ended)
    assert (told.state, told.percent, told.pages.done) == (JobState.RUNNING, 50, 7)
    record.state = "completed"
    assert facts.asked(ended).state is JobState.COMPLETED


def test_without_a_web_ui_there_is_no_link() -> None:
    assert WorkflowLinks(None, "default").to("w", "r") is None
    assert WorkflowLinks("http://ui/", "n").to("w", None) == "http://ui/namespaces/n/workflows/w"


def finish(postgres_dsn: str, job_id: str, state: str) -> None:
    """As if the job had ended in this state."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = %s, finished_at = now() WHERE id = %s", (state, UUID(job_id))
        )


async def _shown(client: httpx.AsyncClient, job_id: str, *, stale: bool) -> dict[str, object]:
    """The job once it is shown so; the first workflow task takes a moment."""
    deadline = asyncio.get_running_loop().time() + 60
    while asyncio.get_running_loop().time() < deadline:
        job: dict[str, object] = (await client.get(f"/v1/jobs/{job_id}")).json()
        if job["stale"] is stale:
            return job
        await asyncio.sleep(0.1)
    raise AssertionError(f"the job stayed {'fresh' if stale else 'stale'}")
