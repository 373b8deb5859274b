"""What the command line prints: tables and progress for people, JSON for programs."""

import json
import sys
import unicodedata
from datetime import UTC, datetime

from pydantic import BaseModel, JsonValue
from rich.console import Console
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
