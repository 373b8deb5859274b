"""`muniment search` and `muniment ask`: passages and answers, with file, page and quote."""

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from muniment.cli.connection import connect
from muniment.cli.output import err, out, page_numbers_text, print_json, printable
from muniment.client.models import Answer, Citation, Hit
from muniment.client.resources.answers import Generate, SearchMode

_SHOWN_CHARACTERS = 400
_INDENT = 4


def search_passages(
    query: str,
    mode: SearchMode,
    top_k: int,
    collection: str | None,
    home: Path | None,
    *,
    as_json: bool,
) -> None:
    with connect(home) as muniment:
        result = muniment.search(query, mode=mode, top_k=top_k, collection=collection)
    if as_json:
        print_json(result)
        return
    console = out()
    if not result.data:
        console.print("nothing found")
    for number, hit in enumerate(result.data, start=1):
        _print_hit(console, number, hit)
    if result.degraded:
        err().print(Text(f"degraded: {', '.join(result.reasons) or result.mode_used}"))


def ask_question(
    question: str,
    top_k: int,
    generate: Generate,
    home: Path | None,
    *,
    cache: bool,
    as_json: bool,
) -> None:
    """Without `cache` nothing that was answered before is told again."""
    with connect(home) as muniment:
        answer = muniment.query(question, top_k=top_k, generate=generate, cache=cache)
    if as_json:
        print_json(answer)
        return
    print_answer(out(), answer)
    if answer.meta.cached == "semantic":
        distance = answer.meta.cached_distance or 0.0
        err().print(
            Text(f"as a question alike was answered ({distance:.3f} away): --no-cache asks")
        )
    if answer.meta.degraded:
        err().print(Text(f"degraded: {', '.join(answer.meta.reasons)}"))


def print_answer(console: Console, answer: Answer) -> None:
    """The answer, then each citation with its file, its page and the words that stand there."""
    if not answer.answer:
        console.print("the documents do not answer this")
        return
    console.print(Text(printable(answer.answer)))
    print_citations(console, answer)


def print_citations(console: Console, answer: Answer) -> None:
    """What it cites, and who worded it."""
    for citation in answer.citations:
        console.print()
        console.print(_citation_line(answer, citation))
        # Line breaks of the page are kept in the data; here the words count.
        words = printable(" ".join(citation.quote.split()))
        quote = Text(f"“{words}”", style="italic")
        if words:
            console.print(Padding(quote, (0, 0, 0, _INDENT), expand=False))
    if answer.meta.provider is not None:
        worded_by = f"worded by {answer.meta.provider} ({answer.meta.model})"
        console.print()
        console.print(Text(printable(worded_by), style="dim"))


def _citation_line(answer: Answer, citation: Citation) -> Text:
    source = answer.source_of(citation)
    name = citation.name or (source.name if source is not None else f"file {citation.file_id}")
    line = Text(f"[{citation.n}]".ljust(_INDENT))
    line.append(printable(name), style="bold")
    if citation.page is not None:
        line.append(f", page {citation.page}")
    if not citation.verified:
        line.append("  (not verified)", style="yellow")
    if citation.injection_suspected:
        line.append("  (seems to speak to a machine)", style="yellow")
    return line


def _print_hit(console: Console, number: int, hit: Hit) -> None:
    heading = Text(f"{number}.".ljust(_INDENT))
    heading.append(printable(hit.name or str(hit.file_id)), style="bold")
    if hit.pages:
        heading.append(f", {page_numbers_text(hit.pages)}")
    if hit.score is not None:
        heading.append(f"  {hit.score:.3f}", style="dim")
    if hit.duplicates:
        heading.append(f"  (and {hit.duplicates} that say the same)", style="dim")
    console.print(heading)
    console.print(Padding(_passage(hit), (0, 0, 0, _INDENT), expand=False))
    console.print()


def _passage(hit: Hit) -> Text:
    """The beginning of the passage, the words that matched in bold."""
    # Python's string indices are code points, as the highlights are.
    text = Text("\n".join(printable(line) for line in hit.text.split("\n")))
    for start, end in hit.highlights:
        text.stylize("bold cyan", start, end)
    if len(text) > _SHOWN_CHARACTERS:
        text.truncate(_SHOWN_CHARACTERS)
        text.append("…")
    return Text(" ").join(line for line in text.split("\n") if line.plain.strip())
