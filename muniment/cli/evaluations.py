"""`muniment eval`: how good searches and answers are, by a set of questions."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from muniment.cli.failures import ExitCode, reported
from muniment.cli.options import AsJson, Home

if TYPE_CHECKING:
    from muniment.client import Muniment
    from muniment.client.resources.evaluations import Evaluation, Metric

_LOOK_SECONDS = 0.5


def evaluate(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A set in BEIR's format: queries and qrels.")
    ],
    name: Annotated[str | None, typer.Option(help="What it is called; else as the folder.")] = None,
    identified_by: Annotated[
        str,
        typer.Option(
            help="What the qrels call documents by: name, id, or metadata.FIELD of the files."
        ),
    ] = "name",
    mode: Annotated[
        Literal["hybrid", "lexical", "vector"], typer.Option(help="How to search.")
    ] = "hybrid",
    collection: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    answers: Annotated[
        Literal["none", "extractive", "auto"],
        typer.Option(help="Have the questions answered too, of sentences or by a language model."),
    ] = "none",
    judge: Annotated[
        bool, typer.Option("--judge", help="Have a language model judge the answers.")
    ] = False,
    nightly: Annotated[bool, typer.Option("--nightly", help="Run it again every night.")] = False,
    tolerance: Annotated[
        float | None, typer.Option(min=0, max=1, help="A share that fell by more is worse.")
    ] = None,
    questions: Annotated[
        int | None, typer.Option("--questions", min=1, help="Only the first so many.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the page with plots here.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Measure searches and answers. Exit code 1 if it failed, or something is worse than before."""
    with reported():
        from muniment.cli.connection import connect
        from muniment.cli.evaluation_sets import read_questions

        asked = read_questions(folder, questions)
        with connect(home) as muniment:
            begun = muniment.evaluations.start(
                name or folder.resolve().name,
                asked,
                identified_by=identified_by,
                mode=mode,
                collection=collection,
                answers=answers,
                judge=judge,
                nightly=nightly,
                tolerance=tolerance,
            )
            ended = _follow(muniment, begun)
            if report is not None:
                report.write_text(muniment.evaluations.report(ended.id), encoding="utf-8")
        _print(ended, as_json=as_json)
        is_good = ended.state == "completed" and not any(each.is_worse for each in ended.metrics)
        sys.exit(ExitCode.OK if is_good else ExitCode.FAILED)


def _follow(muniment: "Muniment", evaluation: "Evaluation") -> "Evaluation":
    from muniment.cli.output import percent_progress

    with percent_progress() as progress:
        task = progress.add_task("questions", total=max(evaluation.questions, 1))
        while evaluation.finished_at is None:
            progress.update(task, completed=evaluation.done)
            time.sleep(_LOOK_SECONDS)
            evaluation = muniment.evaluations.get(evaluation.id)
    return evaluation


def _print(evaluation: "Evaluation", *, as_json: bool) -> None:
    from rich.text import Text

    from muniment.cli.output import err, out, print_json, printable, state_text, table_of

    if as_json:
        print_json(evaluation)
        return
    asked = f"  {evaluation.done} of {evaluation.questions} questions  "
    out().print(Text.assemble(str(evaluation.id), asked, state_text(evaluation.state)))
    table = table_of("figure", "now", "before", "difference", "")
    for metric in evaluation.metrics:
        table.add_row(*_row(metric))
    out().print(table)
    for note in evaluation.notes:
        err().print(Text(printable(note), style="dim"))


def _row(metric: "Metric") -> tuple[str, ...]:
    before = "" if metric.before is None else f"{metric.before:.3f}"
    difference = "" if metric.difference is None else f"{metric.difference:+.3f}"
    return (
        metric.name,
        f"{metric.value:.3f}",
        before,
        difference,
        "worse" if metric.is_worse else "",
    )
