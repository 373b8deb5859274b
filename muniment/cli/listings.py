"""`muniment files`, `muniment jobs` and the messages to jobs."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from muniment.cli.connection import connect
from muniment.cli.failures import ExitCode
from muniment.cli.output import (
    WIDE,
    age_text,
    cut_text,
    err,
    out,
    percent_progress,
    print_facts,
    print_json,
    print_more_hint,
    print_problem,
    printable,
    size_text,
    state_text,
    table_of,
)
from muniment.client.models import File, Job, Scan
from muniment.client.sync_client import Muniment
from muniment.contracts.jobs import JobState

_FILES_NAMED = 200


def list_files(
    name: str | None,
    state: str | None,
    collection: str | None,
    limit: int,
    home: Path | None,
    *,
    as_json: bool,
) -> None:
    filters = {"state": state, "collection": collection, "name~": name}
    with connect(home) as muniment:
        listing = muniment.files.list(limit=limit, filters=filters)
    if as_json:
        print_json(listing)
        return
    console = out()
    console.print(_file_table(console, listing.data) if listing.data else "no files")
    if listing.next_cursor is not None:
        print_more_hint(len(listing.data))


def print_document(file_id: str, home: Path | None, *, as_markdown: bool) -> None:
    """The file's document to the output as it is, so that it can be piped."""
    with connect(home) as muniment:
        read = muniment.files.markdown if as_markdown else muniment.files.text
        document = read(file_id)
    if sys.stdout.isatty():
        for line in document.splitlines():
            out().print(printable(line), markup=False, highlight=False, soft_wrap=True)
    else:
        sys.stdout.buffer.write(document.encode())


def download_archive(
    files: Sequence[str | tuple[str, int]], target: Path, home: Path | None
) -> None:
    """Files by their ids, or versions of them by id and number."""
    with connect(home) as muniment:
        muniment.files.archive(files, target)
    size = size_text(target.stat().st_size)
    err().print(Text(f"{printable(str(target))}: {size}"), soft_wrap=True)


def show_file(file_id: str, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        file = muniment.files.get(file_id)
    if as_json:
        print_json(file)
    else:
        console = out()
        console.print(_file_table(console, [file]))
        print_facts(console, {"scan": _scan_line(file.scan) if file.scan is not None else ""})


def list_jobs(limit: int, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        listing = muniment.jobs.list(limit=limit)
        names = {} if as_json or not listing.data else _names(muniment)
    if as_json:
        print_json(listing)
        return
    console = out()
    console.print(_job_table(console, listing.data, names) if listing.data else "no jobs")
    if listing.next_cursor is not None:
        print_more_hint(len(listing.data))


def show_job(job_id: str, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        job = muniment.jobs.get(job_id)
    if as_json:
        print_json(job)
    else:
        print_job(out(), job)


def follow_job(job_id: str, home: Path | None, *, as_json: bool) -> ExitCode:
    """Shows the job until it ends. With JSON, prints the Job after every change, one a line."""
    with connect(home) as muniment:
        job = muniment.jobs.get(job_id)
        changes = muniment.follow(job)
        if as_json:
            for job in changes:
                print_json(job, indent=None)
        else:
            with percent_progress() as progress:
                bar = progress.add_task("", total=100)
                for job in changes:
                    stage = str(job.stage or job.state)
                    progress.update(bar, completed=job.percent, description=stage)
            print_job(out(), job)
    return ExitCode.OK if job.state == JobState.COMPLETED else ExitCode.FAILED


def tell_job(message: str, job_id: str, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        tell = {
            "cancel": muniment.jobs.cancel,
            "pause": muniment.jobs.pause,
            "resume": muniment.jobs.resume,
        }[message]
        job = tell(job_id)
    if as_json:
        print_json(job)
    else:
        out().print(Text.assemble("job ", str(job.id), ": ", state_text(str(job.state))))


def retry_job(job_id: str, password: str | None, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        job = muniment.jobs.retry(job_id, password=password)
    if as_json:
        print_json(job)
    else:
        out().print(Text.assemble("job ", str(job.id), " heals it: ", state_text(str(job.state))))


def print_job(console: Console, job: Job) -> None:
    """A job with its stages."""
    console.print(Text.assemble((str(job.id), "bold"), "  ", state_text(str(job.state))))
    pages = job.pages
    facts = {
        "kind": job.kind,
        "file": str(job.file_id or ""),
        "progress": f"{job.percent:.0f}%",
        "pages": _pages(job) + (f", {pages.failed} failed" if pages.failed else ""),
        "retry of": str(job.retry_of or ""),
        "note": "no worker answers; this is the last known state" if job.stale else "",
        "degraded": "yes" if job.degraded else "",
        "Temporal": job.temporal_url or "",
    }
    print_facts(console, facts)
    if job.stages:
        console.print(_stage_table(job))
    if job.error is not None:
        print_problem(job.error)


def _pages(job: Job) -> str:
    return f"{job.pages.done}/{job.pages.total}" if job.pages.total else ""


def _names(muniment: Muniment) -> dict[str, str]:
    """Names of the newest files; older ones show their ids."""
    return {str(file.id): file.name for file in muniment.files.list(limit=_FILES_NAMED).data}


def _file_table(console: Console, files: Sequence[File]) -> Table:
    wide = console.width >= WIDE
    table = table_of("id", "name", "state", "pages", "size", *(("type", "created") if wide else ()))
    for file in files:
        state = state_text(str(file.state))
        if file.degraded:
            state.append(" (degraded)", style="yellow")
        pages = str(file.pages) if file.pages is not None else ""
        more = (file.media_type or "", age_text(file.created_at)) if wide else ()
        table.add_row(str(file.id), cut_text(file.name), state, pages, size_text(file.size), *more)
    return table


def _scan_line(scan: Scan) -> str:
    """`infected: malware (Eicar-Test), by ClamAV 1.4.3 with signatures 27800`."""
    line = f"{scan.state}: {scan.reason}" if scan.reason else scan.state
    if scan.signature:
        line += f" ({scan.signature})"
    if scan.engine:
        line += f", by {scan.engine}"
    if scan.database:
        line += f" with signatures {scan.database}"
    return printable(line)


def _job_table(console: Console, jobs: Sequence[Job], names: dict[str, str]) -> Table:
    wide = console.width >= WIDE
    headings = ("kind", "stage", "pages", "created") if wide else ()
    table = table_of("id", "file", "state", "done", *headings)
    for job in jobs:
        file = names.get(str(job.file_id), str(job.file_id or ""))
        stage = "" if job.is_terminal else str(job.stage or "")
        more = (job.kind, stage, _pages(job), age_text(job.created_at)) if wide else ()
        state = state_text(str(job.state))
        table.add_row(str(job.id), cut_text(file), state, f"{job.percent:.0f}%", *more)
    return table


def _stage_table(job: Job) -> Table:
    table = table_of("  stage", "state", "done", "attempts", "seconds")
    for stage in job.stages:
        seconds = ""
        if stage.started_at is not None and stage.finished_at is not None:
            seconds = f"{(stage.finished_at - stage.started_at).total_seconds():.2f}"
        done = f"{stage.done}/{stage.total}" if stage.total else ""
        attempts = str(stage.attempts) if stage.attempts > 1 else ""
        table.add_row(f"  {stage.name}", state_text(str(stage.state)), done, attempts, seconds)
    return table
