"""Options that many commands have, declared once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Home of an embedded stack; else MUNIMENT_API__URL and MUNIMENT_API__KEY, else"
        " MUNIMENT_HOME, else your user data folder.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AnsweredBy = Annotated[
    Literal["auto", "extractive", "llm"],
    typer.Option(
        "--generate", help="Who words it: a language model (llm), the documents' own sentences."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="How many at most.")]


def group_of_commands(help_text: str) -> typer.Typer:
    """Commands below one word, as `muniment groups …`."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)
