"""A job's row as it is shown."""

from datetime import UTC, datetime

import pytest

from api.jobs.view import JobFacts, WorkflowLinks
from db.models import Job, new_id
from db.queries.jobs import job_snapshot
from muniment.contracts.jobs import (
    STAGES_OF,
    JobKind,
    JobState,
    Problem,
    ReadingCounts,
    StageName,
    StageProgress,
    StageState,
)

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SCANNED = StageProgress(
    name=StageName.SCAN,
    state=StageState.COMPLETED,
    done=1,
    total=1,
    attempts=2,
    queue="muniment-scan",
    started_at=MOMENT,
    finished_at=MOMENT,
)
READ = StageProgress(
    name=StageName.READ,
    state=StageState.FAILED,
    done=3,
    total=10,
    error=Problem(
        type="urn:muniment:problem:corrupt",
        title="Damaged",
        detail="It ends.",
        remedy="Send it anew.",
    ),
    idle_seconds=2.5,
    counts=ReadingCounts(characters=400),
)


@pytest.mark.parametrize("state", [each for each in JobState if each is not JobState.RUNNING])
@pytest.mark.parametrize("stages", [(), (SCANNED,), (SCANNED, READ)])
def test_stages_that_are_shown_as_they_lie_are_those_of_the_snapshot(
    state: JobState, stages: tuple[StageProgress, ...]
) -> None:
    """Of a job that does not run, which is shown without what only an estimate needs."""
    record = Job(
        tenant_id=new_id(),
        kind=JobKind.INGEST_FILE,
        file_id=new_id(),
        workflow_id="ingest-1",
        state=state,
        stages=[each.model_dump(mode="json", exclude_defaults=True) for each in stages],
    )
    facts = JobFacts(record, 1, WorkflowLinks(None, "default"))
    shown = facts.recorded()
    assert shown == facts.at(job_snapshot(record))
    assert [each.name for each in shown.stages] == [*STAGES_OF[JobKind.INGEST_FILE]]


def test_a_job_that_is_over_is_shown_as_it_was_with_what_may_still_differ() -> None:
    record = Job(
        id=new_id(),
        tenant_id=new_id(),
        kind=JobKind.INGEST_FILE,
        file_id=new_id(),
        workflow_id="ingest-2",
        state=JobState.FAILED,
        stages=[READ.model_dump(mode="json", exclude_defaults=True)],
        created_at=MOMENT,
        finished_at=MOMENT,
        retry_of=new_id(),
    )
    links = WorkflowLinks(None, "default")
    first = JobFacts(record, 1, links).recorded()
    assert JobFacts(record, 1, links).recorded() == first
    assert first == JobFacts(record, 1, links).at(job_snapshot(record))
    assert JobFacts(record, 1, links).recorded(stale=True).stale
    assert JobFacts(record, 2, links).recorded().version == 2
    linked = JobFacts(record, 1, WorkflowLinks("http://ui", "default")).recorded()
    assert linked.temporal_url is not None
    record.retry_of = None  # the job before it was erased
    assert JobFacts(record, 1, links).recorded().retry_of is None
