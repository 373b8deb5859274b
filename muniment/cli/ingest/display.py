"""How an ingestion looks: live bars on a terminal, a line per file elsewhere, nothing for JSON."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from muniment.cli.ingest.entry import Entry, Phase
from muniment.cli.output import pages_text, printable, state_text

_NAME_WIDTH = 34
_MOST_ROWS = 12
_STATE_WIDTH = 11


class Display(ABC):
    """Is told of every change; `over` comes once per file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    @abstractmethod
    def changed(self, entry: Entry) -> None: ...

    @abstractmethod
    def over(self, entry: Entry) -> None: ...


class SilentDisplay(Display):
    """Shows nothing."""

    def changed(self, entry: Entry) -> None:
        return None

    def over(self, entry: Entry) -> None:
        return None


class PlainDisplay(Display):
    """A line when a file is over."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def changed(self, entry: Entry) -> None:
        return None

    def over(self, entry: Entry) -> None:
        self._console.print(outcome_line(entry, name_width=0))


class LiveDisplay(Display):
    """A bar for the whole and one for each of the files that are being worked on, as many as fit;
    finished files scroll by above as lines."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._rows: dict[int, TaskID] = {}
        self._most_rows = max(1, min(_MOST_ROWS, console.height - 4))
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(width=_NAME_WIDTH, no_wrap=True)),
            TextColumn("{task.fields[stage]}", style="cyan", table_column=Column(width=9)),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[pages]}", style="dim", table_column=Column(no_wrap=True)),
            console=console,
            refresh_per_second=8,
        )
        self._total = total
        self._overall = self._progress.add_task(
            _overall_text(0, total), total=max(total, 1), stage="", pages=""
        )
        self._over = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for row in self._rows.values():
            self._progress.remove_task(row)
        self._progress.remove_task(self._overall)
        self._progress.stop()

    def changed(self, entry: Entry) -> None:
        if entry.stage_text() == "queued":
            self._free(entry)  # its turn comes later; others are being worked on
            return
        row = self._row(entry)
        if row is None:
            return
        if entry.phase is Phase.UPLOADING:
            done, total = float(entry.sent_bytes), float(max(entry.size_bytes, 1))
        else:
            done, total = entry.percent, 100.0
        self._progress.update(
            row, completed=done, total=total, stage=entry.stage_text(), pages=_pages_so_far(entry)
        )

    def over(self, entry: Entry) -> None:
        self._free(entry)
        self._over += 1
        self._progress.update(
            self._overall, completed=self._over, description=_overall_text(self._over, self._total)
        )
        self._console.print(outcome_line(entry, name_width=_NAME_WIDTH))

    def _row(self, entry: Entry) -> TaskID | None:
        """The file's row; None when there is no room."""
        row = self._rows.get(id(entry))
        if row is None and len(self._rows) < self._most_rows:
            name = _shortened(entry.name, _NAME_WIDTH)
            row = self._rows[id(entry)] = self._progress.add_task(name, stage="", pages="")
        return row

    def _free(self, entry: Entry) -> None:
        row = self._rows.pop(id(entry), None)
        if row is not None:
            self._progress.remove_task(row)


def outcome_line(entry: Entry, *, name_width: int) -> Text:
    """`ready  report.pdf  4 pages  2.3 s`, and why not where it failed."""
    outcome = entry.outcome()
    name = _shortened(entry.name, name_width)
    notes = [pages_text(outcome.pages)]
    if outcome.deduplicated:
        notes.append("already there")
    elif outcome.pages_reused:
        notes.append(f"{outcome.pages_reused} reused")
    if outcome.pages_failed:
        notes.append(f"{outcome.pages_failed} unreadable")
    if outcome.error is not None:
        notes = [outcome.error.title]
    line = state_text(outcome.state)
    line.pad_right(max(1, _STATE_WIDTH - len(line)))
    line.append(name.ljust(name_width), style="default")
    line.append("  " + ", ".join(note for note in notes if note), style="default")
    line.append(f"  {outcome.seconds:.1f} s", style="dim")
    return line


def _overall_text(over: int, total: int) -> str:
    return f"{over} of {total} {'file' if total == 1 else 'files'}"


def _pages_so_far(entry: Entry) -> str:
    if entry.phase is Phase.UPLOADING or entry.job is None or not entry.job.pages.total:
        return ""
    pages = entry.job.pages
    return f"{pages.done}/{pages.total} pages"


def _shortened(name: str, width: int) -> str:
    """The name within a width, its extension kept; 0 is any width."""
    name = printable(name)
    if not width or len(name) <= width:
        return name
    return name[: width - 11] + "…" + name[-10:]
