"""The command: from paths to an exit code."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from muniment.cli.failures import ExitCode
from muniment.cli.ingest.display import Display, LiveDisplay, PlainDisplay, SilentDisplay
from muniment.cli.ingest.entry import Entry, Outcome, Phase
from muniment.cli.ingest.run import Ingestion, IngestOptions
from muniment.cli.ingest.selection import select_files
from muniment.cli.output import err, out, print_json, printable
from muniment.client.async_client import AsyncMuniment
from muniment.client.retry import Retry

__all__ = ["IngestOptions", "ingest_paths"]

_PATIENT = Retry(attempts=12)
"""About 35 seconds: an API that its supervisor restarts is back by then."""


def ingest_paths(paths: Sequence[str], home: Path | None, options: IngestOptions) -> ExitCode:
    """Ingests what the paths mean, shows it, and returns the command's exit code."""
    entries = [Entry(path, _size(path)) for path in select_files(paths)]
    started = time.monotonic()
    try:
        asyncio.run(_ingest(entries, home, options))
    except KeyboardInterrupt:
        _say_interrupted(entries)
        return ExitCode.INTERRUPTED
    outcomes = [entry.outcome() for entry in entries]
    if options.as_json:
        for outcome in outcomes:
            print_json(outcome, indent=None)
    else:
        _summarise(outcomes, time.monotonic() - started, waits=options.wait)
    return ExitCode.OK if all(outcome.ok for outcome in outcomes) else ExitCode.FAILED


async def _ingest(entries: Sequence[Entry], home: Path | None, options: IngestOptions) -> None:
    async with AsyncMuniment(home=home) as muniment:
        await muniment.jobs.list(limit=1)  # a stack that is down is told of at once
    async with AsyncMuniment(home=home, retry=_PATIENT) as muniment:
        with _display(len(entries), options) as display:
            await Ingestion(muniment, entries, options, display).run()


def _display(total: int, options: IngestOptions) -> Display:
    progress = err() if options.as_json else out()
    if progress.is_terminal:
        return LiveDisplay(progress, total)
    return SilentDisplay() if options.as_json else PlainDisplay(progress)


def _summarise(outcomes: Sequence[Outcome], seconds: float, *, waits: bool) -> None:
    console = out()
    bad = [outcome for outcome in outcomes if outcome.error is not None]
    good = len(outcomes) - len(bad)
    pages = sum(outcome.pages for outcome in outcomes if outcome.ok)
    done = "ready" if waits else "taken in; `muniment jobs` shows how they fare"
    counts = f"{good} {'file' if good == 1 else 'files'} {done}"
    counts += f", {pages} {'page' if pages == 1 else 'pages'}" if pages and waits else ""
    console.print(Text(f"{counts}, {seconds:.1f} s"))
    if bad:
        console.print(_failures(bad))


def _failures(bad: Sequence[Outcome]) -> Table:
    table = Table(title=f"{len(bad)} not ready", title_justify="left", title_style="bold red")
    for heading in ("file", "problem", "what to do"):
        table.add_column(heading, overflow="fold")
    for outcome in bad:
        if outcome.error is not None:
            problem = outcome.error
            said = f"{problem.title}: {problem.detail}" if problem.detail else problem.title
            table.add_row(Text(printable(outcome.path)), Text(said), Text(problem.remedy or ""))
    return table


def _say_interrupted(entries: Sequence[Entry]) -> None:
    going_on = sum(entry.phase is Phase.FOLLOWING for entry in entries)
    not_sent = sum(entry.phase in (Phase.WAITING, Phase.UPLOADING) for entry in entries)
    console = err()
    if going_on:
        jobs = "1 job goes on" if going_on == 1 else f"{going_on} jobs go on"
        console.print(f"stopped watching; {jobs} in the stack (`muniment jobs` shows them)")
    if not_sent:
        console.print(f"{not_sent} {'file was' if not_sent == 1 else 'files were'} not sent")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the upload says what is wrong with it
