"""`muniment ask`: one question, or those of a CSV file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muniment.cli.failures import ExitCode, reported
from muniment.cli.options import AnsweredBy, AsJson, Home


def ask(
    question: Annotated[str | None, typer.Argument(help="A question; else name --csv.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=100, help="Passages read.")] = 8,
    generate: AnsweredBy = "auto",
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Ask every question of this CSV file instead.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="With --csv: write the answers here, as CSV.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="With --csv: pause once it cost so many tokens.")
    ] = None,
    cache: Annotated[
        bool,
        typer.Option("--cache/--no-cache", help="Whether an answer may be told again."),
    ] = True,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Answer from the documents, with file, page and quote. Exit code 1 if a question of a file failed."""
    if (csv is None) == (question is None) or (csv is None) != (output is None):
        raise typer.BadParameter("give a question, or --csv and --output")
    with reported():
        if csv is not None and output is not None:
            from muniment.cli.question_lists import answer_questions

            is_whole = answer_questions(
                csv, output, top_k, generate, max_tokens, home, as_json=as_json
            )
            sys.exit(ExitCode.OK if is_whole else ExitCode.FAILED)
        elif question is not None:
            from muniment.cli.answers import ask_question

            ask_question(question, top_k, generate, home, cache=cache, as_json=as_json)
