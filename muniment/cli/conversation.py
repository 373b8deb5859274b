"""A conversation in the terminal, or of the lines of a pipe: answers as they are made, then their sources."""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.text import Text

from muniment.cli.answers import print_citations
from muniment.cli.connection import connect
from muniment.cli.output import err, out, print_problem, printable
from muniment.client.answering import Part, Token
from muniment.client.models import Answer, Problem
from muniment.client.problems import ApiProblem, StreamBroken
from muniment.client.resources.answers import Generate

_PROMPT = "> "


def converse(
    conversation_id: UUID | None, top_k: int, generate: Generate, home: Path | None
) -> None:
    """A conversation is begun with its first question. What is refused of one question ends a pipe; at a
    terminal the next may be asked."""
    console = out()
    with connect(home) as muniment:
        if conversation_id is not None:
            muniment.conversations.get(conversation_id)
        questions = _questions()
        first = next(questions, None)
        if first is None:
            return
        if conversation_id is None:
            conversation_id = muniment.conversations.create().id
            err().print(Text(f"conversation {conversation_id}", style="dim"))
        with muniment.conversations.socket(conversation_id) as socket:
            for question in chain([first], questions):
                try:
                    _print(console, socket.ask(question, top_k=top_k, generate=generate))
                except (ApiProblem, StreamBroken) as error:
                    if not sys.stdin.isatty():
                        raise
                    _print_error(error)


def _questions() -> Iterator[str]:
    """Until the end of the input; of a terminal until an empty line as well."""
    is_terminal = sys.stdin.isatty()
    while True:
        if is_terminal:
            err().print(Text(_PROMPT, style="bold"), end="")
        line = sys.stdin.readline()
        question = line.strip()
        if not line or (is_terminal and not question):
            return
        if question:
            yield question


def _print_error(error: ApiProblem | StreamBroken) -> None:
    if isinstance(error, ApiProblem):
        print_problem(error.document)
    else:
        print_problem(Problem(title=error.title, detail=error.detail, remedy=error.remedy))


def _print(console: Console, parts: Iterable[Part]) -> None:
    for part in parts:
        if isinstance(part, Token):
            lines = (printable(line) for line in part.text.split("\n"))
            console.print(Text("\n".join(lines)), end="", soft_wrap=True)
        elif isinstance(part, Answer):
            if not part.answer:
                console.print("the documents do not answer this", end="")
            console.print()
            print_citations(console, part)
            console.print()
            if part.meta.degraded:
                err().print(Text(f"degraded: {', '.join(part.meta.reasons)}"))
