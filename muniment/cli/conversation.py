"""A conversation in the terminal, or of the lines of a pipe: answers as they are made, then their sources."""

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.text import Text

from muniment.cli.answers import print_citations
from muniment.cli.connection import connect
from muniment.cli.output import err, out, print_problem, printable
from muniment.client.answering import Token
from muniment.client.models import Answer
from muniment.client.problems import ApiProblem
from muniment.client.resources.answers import Generate
from muniment.client.sync_client import Muniment

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
        for question in _questions():
            if conversation_id is None:
                conversation_id = muniment.conversations.create().id
                err().print(Text(f"conversation {conversation_id}", style="dim"))
            try:
                _answer(console, muniment, conversation_id, question, top_k, generate)
            except ApiProblem as error:
                if not sys.stdin.isatty():
                    raise
                print_problem(error.document)


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


def _answer(
    console: Console,
    muniment: Muniment,
    conversation_id: UUID,
    question: str,
    top_k: int,
    generate: Generate,
) -> None:
    parts = muniment.conversations.ask_stream(
        conversation_id, question, top_k=top_k, generate=generate
    )
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
