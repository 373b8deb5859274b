"""How long a job still takes: reading by the pages a second of this job, embedding by its chunks a
second, what lies between by an assumption; never by its percentage, whose stages differ too much (a
text layer is read many times as fast as a scan).
"""

from datetime import datetime

from muniment.contracts.jobs import JobSnapshot, JobState, StageName, StageProgress, StageState

LEAST_PAGES = 8
"""Fewer pages than a batch of OCR say too little about the others."""
LEAST_SECONDS = 1.0
"""Sooner, the rate is that of the first batch's start."""
SECONDS_PER_PAGE_AFTER_READING = 0.02
"""What follows the reading, mostly embedding: about a chunk a page, 40–70 chunks a second on two idle
cores. An assumption, which holds until the embedding tells its own pace."""


def estimate_seconds(snapshot: JobSnapshot, at: datetime) -> float | None:
    """Seconds until the end at the pace of this job's own pages; 0 when it is over, None while there
    is nothing to go by: not running, or too few pages read."""
    if snapshot.state.is_terminal:
        return 0.0
    if snapshot.state is not JobState.RUNNING:
        return None
    reading = _reading(snapshot)
    if reading is None or reading.started_at is None:
        return None
    after_reading = snapshot.pages.total * SECONDS_PER_PAGE_AFTER_READING
    if reading.state is StageState.RUNNING:
        left = _left_to_read(snapshot, reading, at)
        return None if left is None else round(left + after_reading, 1)
    if reading.finished_at is None:
        return None
    embedding = next((each for each in snapshot.stages if each.name is StageName.EMBED), None)
    if embedding is not None and embedding.state is StageState.RUNNING and embedding.done > 0:
        return _left_to_embed(embedding, at)
    since_read = max((at - reading.finished_at).total_seconds(), 0.0)
    # Past the estimate nothing is known but that it was wrong.
    return round(after_reading - since_read, 1) if since_read < after_reading else None


def _reading(snapshot: JobSnapshot) -> StageProgress | None:
    return next((stage for stage in snapshot.stages if stage.name is StageName.READ), None)


def _left_to_embed(embedding: StageProgress, at: datetime) -> float | None:
    """Chunks left over chunks a second; what follows takes moments."""
    if embedding.started_at is None:
        return None
    seconds = max((at - embedding.started_at).total_seconds(), 0.0)
    return round(max(embedding.total - embedding.done, 0) * seconds / embedding.done, 1)


def _left_to_read(snapshot: JobSnapshot, reading: StageProgress, at: datetime) -> float | None:
    """Pages left over pages a second. Reused pages cost nothing and say nothing."""
    pages = snapshot.pages
    over = pages.done + pages.failed
    measured = over - pages.reused
    assert reading.started_at is not None  # noqa: S101 - the caller looked
    seconds = (at - reading.started_at).total_seconds() - reading.idle_seconds
    if measured < min(LEAST_PAGES, max(pages.total // 2, 1)) or seconds < LEAST_SECONDS:
        return None
    return max(pages.total - over, 0) * seconds / measured
