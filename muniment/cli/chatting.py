"""`muniment chat`: a conversation in the terminal."""

from typing import Annotated
from uuid import UUID

import typer

from muniment.cli.failures import reported
from muniment.cli.options import AnsweredBy, Home


def chat(
    conversation: Annotated[
        UUID | None,
        typer.Option("--conversation", metavar="ID", help="Go on with this one; else a new one."),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=100, help="Passages read.")] = 8,
    generate: AnsweredBy = "auto",
    home: Home = None,
) -> None:
    """Ask question upon question, each in the context of those before. Ends with an empty line or
    Ctrl-D; of a pipe every line is a question."""
    with reported():
        from muniment.cli.conversation import converse

        converse(conversation, top_k, generate, home)
