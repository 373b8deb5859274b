"""Sets of questions in BEIR's format, as the API takes them.

A folder holds `queries.jsonl` (`_id`, `text`, and as they are known `metadata.answer` or
`metadata.answers`) and `qrels.tsv` or `qrels/test.tsv` (query, document, grade; a line of headings may come
first).
"""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from muniment.errors import InvalidRequest

_JUDGEMENTS = ("qrels.tsv", "qrels/test.tsv")
_LONGEST_ANSWER = 2_000
_REMEDY = "Name a folder with queries.jsonl, and qrels.tsv or qrels/test.tsv: docs/evaluation.md."


class _Query(BaseModel):
    """A line of queries.jsonl."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(alias="_id")
    text: str
    metadata: dict[str, JsonValue] = {}


def read_questions(folder: Path, limit: int | None = None) -> list[dict[str, JsonValue]]:
    """The first `limit` of those that something is known of: their documents, or their answers. Raises
    InvalidRequest for what is no such set."""
    judged = _read_judgements(folder)
    questions = [
        question
        for query in _read_queries(folder)
        if (question := _question(query, judged.get(query.id, {})))
    ]
    if not questions:
        raise InvalidRequest("no question of the set is judged or answered", remedy=_REMEDY)
    return questions[:limit]


def _question(query: _Query, relevant: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    answers = _answers(query)
    if not relevant and not answers:
        return {}
    return {"id": query.id, "text": query.text, "relevant": {**relevant}, "answers": [*answers]}


def _answers(query: _Query) -> Sequence[str]:
    known = query.metadata.get("answers", query.metadata.get("answer"))
    listed = known if isinstance(known, list) else [known]
    return [each for each in listed if isinstance(each, str) and 0 < len(each) <= _LONGEST_ANSWER]


def _read_queries(folder: Path) -> list[_Query]:
    found: list[_Query] = []
    for number, line in enumerate(_lines(folder / "queries.jsonl"), start=1):
        try:
            found.append(_Query.model_validate(json.loads(line)))
        except (ValueError, ValidationError):
            raise InvalidRequest(
                f"line {number} of queries.jsonl is no query", remedy=_REMEDY
            ) from None
    return found


def _read_judgements(folder: Path) -> dict[str, dict[str, JsonValue]]:
    """By query, then by document, the grades above 0; none without a file of them."""
    path = next((folder / name for name in _JUDGEMENTS if (folder / name).is_file()), None)
    judged: dict[str, dict[str, JsonValue]] = {}
    for number, line in enumerate(_lines(path) if path else (), start=1):
        try:
            query, document, grade = line.split("\t")
            if not isfinite(float(grade)):
                raise ValueError
            if float(grade) > 0:
                judged.setdefault(query, {})[document] = float(grade)
        except ValueError:
            if number == 1:  # headings
                continue
            raise InvalidRequest(
                f"line {number} of {path.name if path else ''} is no judgement", remedy=_REMEDY
            ) from None
    return judged


def _lines(path: Path) -> list[str]:
    """Those that are not empty."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path.name} cannot be read", remedy=_REMEDY) from error
    # Not splitlines: a text may hold U+2028, which is no end of a line in JSON lines.
    return [line for line in content.replace("\r\n", "\n").split("\n") if line.strip()]
