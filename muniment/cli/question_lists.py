"""`muniment ask --csv`: the questions of a CSV file, and their answers as another."""

import os
from pathlib import Path

from rich.text import Text

from muniment.cli.connection import connect
from muniment.cli.output import err, out, percent_progress, print_json, printable, state_text
from muniment.client import Muniment
from muniment.client.resources.answers import Generate
from muniment.client.resources.question_lists import QuestionList
from muniment.errors import InvalidRequest

_UTF_8 = "utf-8"
_WINDOWS = "windows-1252"


def answer_questions(
    questions: Path,
    output: Path,
    top_k: int,
    generate: Generate,
    max_tokens: int | None,
    home: Path | None,
    *,
    as_json: bool,
) -> bool:
    """Follows the list to its end; whether every question could be asked. One that pauses, since its tokens
    are used up, stays paused, and nothing is written. Raises InvalidRequest where a file cannot be read or
    written; nothing is asked where that shows beforehand."""
    content = _read(questions)
    _require_writable(output)
    with connect(home) as muniment:
        begun = muniment.question_lists.start(
            content,
            charset=_charset(content),
            generate=generate,
            top_k=top_k,
            max_tokens=max_tokens,
        )
        ended = _follow(muniment, begun)
        if ended.finished_at is not None:
            answers = muniment.question_lists.answers(ended.id)
            _write(output, answers, ended)
    _print(ended, as_json=as_json)
    return ended.state == "completed" and not ended.failed


def _read(questions: Path) -> bytes:
    try:
        return questions.read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"{questions.name} cannot be read", remedy="Name a CSV file with a column `question`."
        ) from error


def _require_writable(output: Path) -> None:
    """Before anything is paid for."""
    target = output if output.exists() else output.parent
    if output.is_dir() or not output.parent.is_dir() or not os.access(target, os.W_OK):
        raise InvalidRequest(
            f"{output.name} cannot be written",
            remedy="Name a file in a folder that you may write to.",
        )


def _write(output: Path, answers: str, ended: QuestionList) -> None:
    try:
        # As it came: its lines end as CSV's do.
        output.write_text(answers, encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidRequest(
            f"{output.name} cannot be written",
            remedy=f"Download the answers by `GET /v1/question-lists/{ended.id}/answers`.",
        ) from error


def _charset(content: bytes) -> str:
    """UTF-8, or what spreadsheets of Windows write; a byte order mark stands above it."""
    try:
        content.decode(_UTF_8)
    except UnicodeDecodeError:
        return _WINDOWS
    return _UTF_8


def _follow(muniment: Muniment, questions: QuestionList) -> QuestionList:
    """To its end, or until it pauses."""
    with percent_progress() as progress:
        task = progress.add_task("questions", total=max(questions.questions, 1))
        for told in muniment.question_lists.events(questions.id):
            questions = told
            progress.update(task, completed=questions.done)
            if questions.state == "paused":
                break
    return questions


def _print(questions: QuestionList, *, as_json: bool) -> None:
    if as_json:
        print_json(questions)
        return
    counts = (
        f"  {questions.answered} answered, {questions.unanswered} without an answer,"
        f" {questions.failed} failed  "
    )
    out().print(Text.assemble(str(questions.id), counts, state_text(questions.state)))
    if questions.reason:
        err().print(Text(printable(questions.reason), style="dim"))
    if questions.state == "paused":
        path = f"/v1/question-lists/{questions.id}"
        err().print(
            Text(
                f"Go on with `POST {path}/resume`, or end it with `POST {path}/cancel`.",
                style="dim",
            )
        )
