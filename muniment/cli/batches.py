"""`muniment batch` and `muniment batches`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
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
    printable,
    state_text,
    table_of,
)
from muniment.client.models import Batch
from muniment.client.sync_client import Muniment

LOOK_SECONDS = 1.0
_SHOWN_LEFT_OUT = 20


@dataclass(frozen=True)
class NewBatch:
    """Either files or a source."""

    file_ids: tuple[str, ...]
    source: str | None
    prefix: str
    collection: str | None
    priority: int | None

    def make(self, muniment: Muniment) -> Batch:
        if self.source is None:
            return muniment.batches.create(self.file_ids, priority=self.priority)
        return muniment.batches.import_from(
            self.source, self.prefix, collection=self.collection, priority=self.priority
        )


def make_batch(new: NewBatch, home: Path | None, *, wait: bool, as_json: bool) -> ExitCode:
    """Makes the batch and follows it to its end. What is interrupted goes on in the stack."""
    with connect(home) as muniment:
        batch = new.make(muniment)
        if wait:
            try:
                batch = _followed(muniment, batch)
            except KeyboardInterrupt:
                err().print(f"stopped watching; `muniment batches {batch.id}` shows how it fares")
                return ExitCode.INTERRUPTED
    if as_json:
        print_json(batch)
    else:
        _print_batch(out(), batch)
    return ExitCode.OK if batch.is_whole or not wait else ExitCode.FAILED


def list_batches(limit: int, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        listing = muniment.batches.list(limit=limit)
    if as_json:
        print_json(listing)
        return
    if not listing.data:
        out().print("no batches")
        return
    console = out()
    console.print(_batch_table(console, listing.data))
    if listing.next_cursor is not None:
        print_more_hint(len(listing.data))


def show_batch(batch_id: str, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        batch = muniment.batches.get(batch_id)
    if as_json:
        print_json(batch)
    else:
        _print_batch(out(), batch)


def tell_batch(message: str, batch_id: str, home: Path | None, *, as_json: bool) -> None:
    with connect(home) as muniment:
        tell = {
            "cancel": muniment.batches.cancel,
            "pause": muniment.batches.pause,
            "resume": muniment.batches.resume,
        }[message]
        batch = tell(batch_id)
    if as_json:
        print_json(batch)
    else:
        out().print(Text.assemble("batch ", str(batch.id), ": ", state_text(batch.state)))


def _followed(muniment: Muniment, batch: Batch) -> Batch:
    with percent_progress() as progress:
        bar = progress.add_task(_counts_text(batch), total=100)
        while not batch.is_over:
            time.sleep(LOOK_SECONDS)
            batch = muniment.batches.get(batch.id)
            progress.update(bar, completed=batch.percent, description=_counts_text(batch))
    return batch


def _batch_table(console: Console, batches: Sequence[Batch]) -> Table:
    wide = console.width >= WIDE
    table = table_of("id", "state", "done", "files", *(("source", "created") if wide else ()))
    for batch in batches:
        more = (cut_text(_source_text(batch)), age_text(batch.created_at)) if wide else ()
        table.add_row(
            str(batch.id),
            state_text(batch.state),
            f"{batch.percent:.0f}%",
            cut_text(_counts_text(batch)),
            *more,
        )
    return table


def _print_batch(console: Console, batch: Batch) -> None:
    console.print(Text.assemble((str(batch.id), "bold"), "  ", state_text(batch.state)))
    facts = {
        "source": _source_text(batch),
        "files": _counts_text(batch),
        "progress": f"{batch.percent:.0f}%",
        "note": _note(batch),
        "Temporal": batch.temporal_url or "",
    }
    print_facts(console, facts)
    left_out = (batch.source.left_out or ()) if batch.source else ()
    for each in left_out[:_SHOWN_LEFT_OUT]:
        console.print(Text(f"  not taken in: {printable(each.name)} ({each.problem})"))
    more = sum(batch.source.problems.values()) - _SHOWN_LEFT_OUT if batch.source else 0
    if left_out and more > 0:
        console.print(Text(f"  and {more} more"))


def _counts_text(batch: Batch) -> str:
    """`3 of 5 files, 1 failed, 1 waiting`."""
    counts = batch.files
    rest = {
        "failed": counts.failed,
        "waiting": counts.waiting,
        "cancelled": counts.cancelled,
        "gone": counts.gone,
    }
    text = f"{counts.done} of {counts.total} {'file' if counts.total == 1 else 'files'}"
    return ", ".join((text, *(f"{count} {name}" for name, count in rest.items() if count)))


def _source_text(batch: Batch) -> str:
    return printable(f"{batch.source.name}:{batch.source.prefix}") if batch.source else ""


def _note(batch: Batch) -> str:
    if batch.source is None:
        return ""
    if batch.source.problem is not None:
        return f"the source was not listed to its end ({batch.source.problem})"
    return (
        "more lies there than one batch takes: name a narrower prefix"
        if batch.source.truncated
        else ""
    )
