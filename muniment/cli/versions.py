"""`muniment compare`: what changed between two versions of a file."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from muniment.cli.connection import connect
from muniment.cli.output import out, print_json, printable
from muniment.client.sync_client import Muniment
from muniment.client.versions import ComparedPage, VersionComparison, WordSpan

_PAGES_AT_ONCE = 100
_INDENT = 4
_STYLES = {"equal": "dim", "removed": "red", "added": "green", "omitted": "dim"}


def compare_versions(
    file_id: str, number: int, other: int | None, home: Path | None, *, as_json: bool
) -> None:
    """All pages that are not as they were; with JSON, one a line."""
    with connect(home) as muniment:
        for place, answer in enumerate(_answers(muniment, file_id, number, other)):
            if not as_json and place == 0:
                _print_counts(out(), answer)
            for page in answer.data:
                if as_json:
                    print_json(page, indent=None)
                else:
                    _print_page(out(), page)


def _answers(
    muniment: Muniment, file_id: str, number: int, other: int | None
) -> Iterator[VersionComparison]:
    cursor: str | None = None
    while True:
        answer = muniment.files.compare_versions(
            file_id, number, other, limit=_PAGES_AT_ONCE, cursor=cursor
        )
        yield answer
        # One without pages is the last, whatever it says: the list comes to an end.
        if answer.next_cursor is None or not answer.data:
            return
        cursor = answer.next_cursor


def _print_counts(console: Console, answer: VersionComparison) -> None:
    counts = answer.pages.model_dump()
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    console.print(
        f"version {answer.with_version} to {answer.version}, pages: {told or 'none'}",
        highlight=False,
    )


def _print_page(console: Console, page: ComparedPage) -> None:
    console.print()
    console.print(Text(_heading(page), style="bold"))
    if page.problem:
        console.print(Padding(Text(printable(page.problem)), (0, 0, 0, _INDENT), expand=False))
    if page.differences:
        words = Text(" ").join(_span(each) for each in page.differences)
        if page.truncated:
            words.append(" … and more")
        console.print(Padding(words, (0, 0, 0, _INDENT), expand=False))


def _heading(page: ComparedPage) -> str:
    heading = f"page {page.page if page.page is not None else page.with_page}: {page.state}"
    if page.moved:
        heading += f", moved from {page.with_page}"
    elif page.page is not None and page.with_page not in (None, page.page):
        heading += f", page {page.with_page} before"
    if page.state == "changed":
        heading += f", {page.words_removed} words removed, {page.words_added} added"
    return printable(heading)


def _span(span: WordSpan) -> Text:
    """Marked by brackets, too, as wdiff does: colours are lost in pipes."""
    text = printable(" ".join(span.text.split()))
    shown = {"removed": f"[-{text}-]", "added": f"{{+{text}+}}", "omitted": "…"}.get(
        span.kind, text
    )
    return Text(shown, style=_STYLES.get(span.kind, ""))
