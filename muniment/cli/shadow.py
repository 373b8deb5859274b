"""`muniment shadow`: what candidates would change, and comparing files by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from muniment.cli.connection import connect
from muniment.cli.failures import ExitCode
from muniment.cli.output import err, out, print_json, printable, state_text
from muniment.client.comparisons import CandidateSummary, Shared, Words
from muniment.client.models import Job
from muniment.contracts.jobs import JobState


def print_summary(candidate: str | None, worst: int, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        summary = muniment.comparisons.summary(candidate=candidate, worst=worst)
    if as_json:
        print_json(summary)
        return
    if not summary.data:
        err().print(
            "nothing was compared; MUNIMENT_SHADOW__OCR_ENGINE or MUNIMENT_SHADOW__PDF_PIPELINE sets"
            " a candidate",
            style="dim",
        )
    for found in summary.data:
        _print_candidate(out(), found)


@dataclass(frozen=True)
class Candidate:
    """What is to be tried, by the names that the API takes."""

    ocr_engine: str | None
    pdf_pipeline: str | None


def compare_files(
    file_ids: Sequence[str],
    candidate: Candidate,
    home: Path | None,
    *,
    wait: bool,
    as_json: bool,
) -> ExitCode:
    """Asks for all, then follows one after the other. What is interrupted goes on in the stack."""
    with connect(home) as muniment:
        jobs = [
            muniment.files.compare(
                file_id,
                ocr_engine=candidate.ocr_engine,
                pdf_pipeline=candidate.pdf_pipeline,
            )
            for file_id in file_ids
        ]
        if wait:
            ended: list[Job] = []
            for job in jobs:
                *_, last = muniment.follow(job)
                ended.append(last)
            jobs = ended
    if as_json:
        print_json([job.model_dump(mode="json") for job in jobs])
    else:
        for job in jobs:
            out().print(Text.assemble(str(job.file_id), "  ", state_text(job.state)))
            if job.error is not None:
                out().print(Text(f"  {job.error.detail} {job.error.remedy or ''}".rstrip()))
    failed = any(job.state not in (JobState.COMPLETED, JobState.QUEUED) for job in jobs)
    return ExitCode.FAILED if wait and failed else ExitCode.OK


def _print_candidate(console: Console, found: CandidateSummary) -> None:
    console.print(Text(printable(found.candidate), style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in _rows(found).items():
        if value:
            table.add_row(name, Text(value))
    console.print(table)
    for problem in found.problems:
        count = f"{problem.files} failed: {problem.title or problem.type or ''}."
        console.print(Text(f"  {printable(count)} {printable(problem.remedy or '')}".rstrip()))
    if found.worst_files:
        console.print(_worst(found))


def _rows(found: CandidateSummary) -> dict[str, str]:
    pages, similarity, words = found.pages, found.similarity, found.words
    if not pages:
        return {"files": _files_text(found)}
    return {
        "files": _files_text(found),
        "pages": f"{pages} compared" + _failed_text(found),
        "similarity": ""
        if similarity is None
        else f"mean {similarity.mean:.3f}, median {similarity.median:.3f},"
        f" a quarter below {similarity.p25:.3f}, a twentieth below {similarity.p05:.3f}",
        "identical": "" if similarity is None else f"{similarity.identical:.0%} of the pages",
        "words": "" if words is None else _words_text(words),
        "pages by words": f"{found.pages_more_words} with more, {found.pages_fewer_words} with fewer",
        "pages by confidence": f"{found.pages_more_confident} more,"
        f" {found.pages_less_confident} less confident",
        "headings": _shared_text(found.structure.headings),
        "tables": _shared_text(found.structure.tables),
        "cells": _shared_text(found.structure.cells),
        "time": _time_text(found),
    }


def _files_text(found: CandidateSummary) -> str:
    rest = {
        "at work": found.files_open,
        "failed": found.files_failed,
        "the same": found.files_without_difference,
    }
    counts = (f"{count} {name}" for name, count in rest.items() if count)
    return ", ".join((f"{found.files} compared", *counts))


def _failed_text(found: CandidateSummary) -> str:
    if not (found.present_failed or found.candidate_failed):
        return ""
    return f"; unread: {found.present_failed} now, {found.candidate_failed} by the candidate"


def _words_text(words: Words) -> str:
    return f"{words.present} now, {words.lost} lost, {words.gained} gained"


def _shared_text(shared: Shared) -> str:
    if not (shared.present or shared.candidate):
        return ""
    return f"{shared.present} now, {shared.candidate} by the candidate, {shared.shared} the same"


def _time_text(found: CandidateSummary) -> str:
    if found.time_ratio is None or found.present_seconds is None:
        return ""
    return (
        f"{found.candidate_seconds:.2f} s a page against {found.present_seconds:.2f} s,"
        f" {found.time_ratio:.1f} times"
    )


def _worst(found: CandidateSummary) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    for heading in ("worst files", "version", "pages", "similarity", "lost", "gained"):
        table.add_column(heading, no_wrap=True)
    for file in found.worst_files:
        table.add_row(
            str(file.file_id),
            str(file.version),
            str(file.pages),
            f"{file.similarity:.3f}",
            str(file.words_lost),
            str(file.words_gained),
        )
    return table
