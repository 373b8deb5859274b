"""What the command line prints: tables and progress for people, JSON for programs."""

import json
import sys
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, JsonValue
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from muniment.client.models import Problem

STATE_STYLES = {
    "ready": "green",
    "completed": "green",
    "failed": "red",
    "rejected": "red",
    "cancelled": "yellow",
    "quarantined": "yellow",
    "waiting": "yellow",
    "paused": "yellow",
    "running": "cyan",
    "processing": "cyan",
}

_UNSAFE_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
_UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
_UNBOUNDED_WIDTH = 10_000
"""Nothing is wrapped or cut where no terminal sets a width: programs read those lines."""
_LEAST_WIDTHS = {"id": 36, "state": 9, "pages": 5, "done": 4, "size": 8}
_GIVING_WAY = ("name", "file", "files", "source")
_MOST_WIDTHS = {"name": 60, "file": 60, "source": 60}
WIDE = 110
"""Columns from which on a table shows everything."""


def out() -> Console:
    """The console of results; made at each use, so that it fits the stream of the moment."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNBOUNDED_WIDTH)


def err() -> Console:
    """The console of progress and errors."""
    width = None if sys.stderr.isatty() else _UNBOUNDED_WIDTH
    return Console(stderr=True, highlight=False, width=width)


def print_json(value: BaseModel | JsonValue, *, indent: int | None = 2) -> None:
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    sys.stdout.write(json.dumps(data, indent=indent, ensure_ascii=False) + "\n")


def printable(text: str) -> str:
    """The text as a terminal may show it: names and documents are others' words, and could hold
    escape sequences, line breaks, or what turns the direction of writing. As long as before."""
    return "".join(
        _UNPRINTABLE if unicodedata.category(character) in _UNSAFE_CATEGORIES else character
        for character in text
    )


def state_text(state: str) -> Text:
    return Text(str(state), style=STATE_STYLES.get(str(state), ""))


def table_of(*headings: str) -> Table:
    """Names give way when the terminal is narrow, ids and figures do not. Cells under the headings
    that give way are `cut_text`."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(
            heading,
            # rich narrows columns that may wrap before it touches any other.
            no_wrap=heading not in _GIVING_WAY,
            overflow="ellipsis",
            min_width=_LEAST_WIDTHS.get(heading),
            max_width=_MOST_WIDTHS.get(heading),
        )
    return table


def cut_text(text: str) -> Text:
    """On one line, with an ellipsis where it does not fit."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")


def print_facts(console: Console, facts: Mapping[str, str]) -> None:
    """A line for each that says something."""
    for name, value in facts.items():
        if value.strip():
            console.print(Text(f"  {name:<9} {value}"))


def print_more_hint(shown: int) -> None:
    """What is said beside a listing that goes on after the first page."""
    err().print(f"the newest {shown}; --limit shows more", style="dim")


def percent_progress() -> Progress:
    """A bar to 100 % with its description, gone when it ends."""
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    return Progress(*columns, console=err(), transient=True)


def print_problem(problem: Problem) -> None:
    """An error on standard error: what happened, and what to do."""
    console = err()
    console.print(Text.assemble(("error: ", "bold red"), problem.title or "Something went wrong"))
    if problem.detail and problem.detail != problem.title:
        console.print(Text(f"  {problem.detail}"))
    for field in problem.errors:
        console.print(Text(f"  {field.get('field', '')}: {field.get('detail', '')}"))
    if problem.remedy:
        console.print(Text(f"  what to do: {problem.remedy}"))
    if problem.request_id:
        console.print(Text(f"  request id: {problem.request_id}", style="dim"))


def size_text(size_bytes: int) -> str:
    """Decimal units, as file managers show them."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit takes every size")


def age_text(moment: datetime | None) -> str:
    if moment is None:
        return ""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def pages_text(pages: int | None) -> str:
    if not pages:
        return ""
    return "1 page" if pages == 1 else f"{pages} pages"


def page_numbers_text(pages: tuple[int, ...]) -> str:
    if not pages:
        return ""
    if len(pages) == 1:
        return f"page {pages[0]}"
    return f"pages {pages[0]}–{pages[-1]}"
