"""Answers as a CSV file (RFC 4180, UTF-8), which programs that calculate may open: what would be a formula
there is text (OWASP, CSV injection)."""

import csv
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from muniment.contracts.answer_questions import ListedAnswer, ListedQuestion

COLUMNS = (
    "row",
    "id",
    "question",
    "outcome",
    "answer",
    "citations",
    "verified",
    "degraded",
    "reasons",
    "expected_answer",
    "exact_match",
    "token_f1",
    "expected_file",
    "expected_page",
    "file_cited",
    "page_cited",
    "model",
    "milliseconds",
    "tokens",
)

WITHHELD = "withheld"
WAITING = "waiting"
"""Outcomes beside those of a QuestionOutcome: a file behind the answer is no longer the reader's to read; it
was not asked."""

_FORMULA = re.compile(r'^(?=[\t\r\n])|(?:^|[;\t\r\n])(?=(?:[^\S\t\r\n]|")*[=+\-@＝＋－＠])')
"""What a spreadsheet may take for the beginning of a formula, though it stands within a cell: where it takes
semicolons or tabs for what separates cells, cells begin behind these, and lines behind each line break."""
_TEXT = "'"


@dataclass(frozen=True)
class AnsweredRow:
    """`answer` is null where there is none to be shown."""

    number: int
    question: ListedQuestion
    outcome: str
    answer: ListedAnswer | None
    tokens: int


def heading() -> bytes:
    return _written([COLUMNS])


def written(rows: Iterable[AnsweredRow]) -> bytes:
    """The lines of these rows."""
    return _written(_cells(row) for row in rows)


def _cells(row: AnsweredRow) -> list[str]:
    question, answer = row.question, row.answer or ListedAnswer()
    grades = answer.grades
    citations: list[JsonValue] = [each.model_dump(mode="json") for each in answer.citations]
    return [
        str(row.number),
        _defused(question.id),
        _defused(question.text),
        row.outcome,
        _defused(answer.answer),
        _json(citations) if citations else "",
        _yes_or_no(all(each.verified for each in answer.citations)) if citations else "",
        _yes_or_no(answer.degraded) if row.answer else "",
        _defused("; ".join(answer.reasons)),
        _defused(question.expected_answer),
        _share(grades.exact_match),
        _share(grades.token_f1),
        _defused(question.expected_file),
        "" if question.expected_page is None else str(question.expected_page),
        _share(grades.file_cited),
        _share(grades.page_cited),
        _defused(answer.model),
        f"{answer.milliseconds:.0f}" if row.answer else "",
        str(row.tokens) if row.answer else "",
    ]


def _defused(text: str) -> str:
    return _FORMULA.sub(lambda found: found.group() + _TEXT, text)


def _json(value: JsonValue) -> str:
    """Without a semicolon, behind which a formula might begin: it stands in texts alone."""
    return json.dumps(value, ensure_ascii=False).replace(";", "\\u003b")


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _written(rows: Iterable[Iterable[str]]) -> bytes:
    lines = io.StringIO(newline="")
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return lines.getvalue().encode()
