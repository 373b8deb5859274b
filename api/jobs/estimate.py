"""How long a job still takes: reading by the pages a second of this job, scans and text apart,
embedding by its chunks a second, what lies between by the tenant's last jobs; never by its percentage,
whose stages differ too much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from db.queries.jobs import AfterReading
from muniment.contracts.jobs import (
    JobSnapshot,
    JobState,
    ReadingCounts,
    StageName,
    StageProgress,
    StageState,
)

LEAST_PAGES = 8
"""Fewer pages of text say too little about the others."""
LEAST_OCR_PAGES = 3
"""The same of pages that OCR reads, each of which takes seconds."""
LEAST_SECONDS = 1.0
"""Sooner, the rate is that of the first batch's start."""
SECONDS_PER_OCR_PAGE = 3.0
"""What OCR takes on two idle cores; assumed of the scans among pages of text until some were read."""
SECONDS_PER_CHARACTER = 3e-5
"""What follows the reading, mostly embedding: measured on two idle cores, at 550 characters a page
(2.4e-5 to 2.6e-5) and at 3,800 (3.0e-5). Assumed where a tenant's earlier documents tell nothing."""
SECONDS_PER_DOCUMENT = 0.15
"""What follows the reading of a document of next to no text, measured on the same."""
LONG_DOCUMENT_CHARACTERS = 10_000
"""From here on the characters decide, and what a document costs by itself does not."""


def usual_seconds_per_character(documents: Sequence[AfterReading]) -> float | None:
    """The pace of what follows the reading, by a tenant's last documents: the median of the long ones;
    of short ones alone, what this installation takes for them beside what was measured; None without
    any."""
    long = [each for each in documents if each.characters >= LONG_DOCUMENT_CHARACTERS]
    if long:
        return median(each.seconds / each.characters for each in long)
    if not documents:
        return None
    return SECONDS_PER_CHARACTER * median(
        each.seconds / (SECONDS_PER_DOCUMENT + SECONDS_PER_CHARACTER * each.characters)
        for each in documents
    )


def estimate_seconds(
    snapshot: JobSnapshot, at: datetime, seconds_per_character: float | None = None
) -> float | None:
    """Seconds until the end at the pace of this job's own pages, and at that one for what follows
    them; 0 when it is over, None while there is nothing to go by: not running, or too few pages read."""
    if snapshot.state.is_terminal:
        return 0.0
    if snapshot.state is not JobState.RUNNING:
        return None
    reading = _reading(snapshot)
    if reading is None or reading.started_at is None:
        return None
    after_reading = _characters(snapshot, reading) * (
        seconds_per_character or SECONDS_PER_CHARACTER
    )
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


def _characters(snapshot: JobSnapshot, reading: StageProgress) -> float:
    """Of all pages that can be read, by those that are; 0 where nothing is made of them."""
    pages = snapshot.pages
    is_embedded = any(stage.name is StageName.EMBED for stage in snapshot.stages)
    if reading.counts is None or pages.done == 0 or not is_embedded:
        return 0.0
    return reading.counts.characters * (pages.total - pages.failed) / pages.done


def _left_to_embed(embedding: StageProgress, at: datetime) -> float | None:
    """Chunks left over chunks a second; what follows takes moments."""
    if embedding.started_at is None:
        return None
    seconds = max((at - embedding.started_at).total_seconds(), 0.0)
    return round(max(embedding.total - embedding.done, 0) * seconds / embedding.done, 1)


@dataclass(frozen=True)
class _Pages:
    """Pages of one kind: how many are left, and how many this job has dealt with."""

    left: int
    measured: int

    def pace(self, passed: float) -> float:
        """Seconds a page."""
        return passed / max(self.measured, 1)


def _left_to_read(snapshot: JobSnapshot, reading: StageProgress, at: datetime) -> float | None:
    """The longer of what is left for OCR and for the text layers: they are read beside one another,
    at paces that differ by far. Reused pages cost nothing and say nothing."""
    assert reading.started_at is not None  # noqa: S101 - the caller looked
    passed = (at - reading.started_at).total_seconds() - reading.idle_seconds
    pages, counts = snapshot.pages, reading.counts or ReadingCounts()
    settled = pages.done + pages.failed
    every = _Pages(pages.total - settled, settled - pages.reused)
    ocr = _Pages(counts.ocr_total - counts.ocr_settled, counts.ocr_settled - counts.ocr_reused)
    text = _Pages(every.left - ocr.left, every.measured - ocr.measured)
    tells_of_text = text.measured >= max(min(LEAST_PAGES, (text.left + text.measured) // 2), 1)
    tells_of_ocr = ocr.measured >= max(min(LEAST_OCR_PAGES, (ocr.left + ocr.measured) // 2), 1)
    if passed < LEAST_SECONDS or not (tells_of_text or tells_of_ocr):
        return None
    # Where too few pages of text were read, that of all pages stands in, which is slower.
    text_pace = (text if tells_of_text else every).pace(passed)
    ocr_pace = ocr.pace(passed) if tells_of_ocr else _assumed_ocr_pace(ocr, passed)
    return max(text.left * text_pace, ocr.left * ocr_pace, 0.0)


def _assumed_ocr_pace(ocr: _Pages, passed: float) -> float:
    """Seconds a page while too few were read: the assumption counts as one page beside them."""
    if ocr.measured == 0:
        return SECONDS_PER_OCR_PAGE
    return (SECONDS_PER_OCR_PAGE + passed) / (1 + ocr.measured)
