"""Questions out of a CSV file (RFC 4180): what is wrong is told by its row.

The first row names the columns. Commas, semicolons or tabs stand between them, as the first row shows.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message

from pydantic import JsonValue

from api.storable_text import LARGEST_INTEGER, require_storable
from muniment.contracts.answer_questions import ListedQuestion
from muniment.errors import MunimentError, Unprocessable, UnsupportedMediaType, WrongField
from retrieval.filters import parse_filter

MAX_QUESTIONS = 1_000
MAX_QUESTION_CHARACTERS = 2_000
MAX_EXPECTED_CHARACTERS = 2_000
MAX_ID_CHARACTERS = 200
MOST_ERRORS = 50
"""That are told of at once."""

MEDIA_TYPE = "text/csv"
DELIMITERS = (",", ";", "\t")

QUESTION, ID, FILTER = "question", "id", "filter"
EXPECTED_ANSWER, EXPECTED_FILE = "expected_answer", "expected_file"
EXPECTED_PAGE = "expected_page"
COLUMNS = (ID, QUESTION, EXPECTED_ANSWER, EXPECTED_FILE, EXPECTED_PAGE, FILTER)

_MOST_DIGITS = len(str(LARGEST_INTEGER))

_MARKED = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_CHARSETS = frozenset(
    {
        "ascii",
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "iso8859-1",
        "iso8859-2",
        "iso8859-5",
        "iso8859-7",
        "iso8859-9",
        "iso8859-15",
        "koi8-r",
        "mac-roman",
        "big5",
        "euc_jp",
        "euc_kr",
        "gb18030",
        "gbk",
        "shift_jis",
        *(f"cp{number}" for number in range(1250, 1259)),
    }
)
"""By Python's names. Others of its codecs take seconds for a file of some kilobytes (`punycode`), or are no
charsets."""


@dataclass(frozen=True)
class QuestionRow:
    """`number` is the row's in the file, from 1: the first row holds the columns' names."""

    number: int
    question: ListedQuestion


def read_questions(content: bytes, content_type: str) -> list[QuestionRow]:
    """Rows without any content are left out. Raises UnsupportedMediaType for what is no CSV, and
    Unprocessable with `row N` for each of the first that are wrong."""
    text = _decoded(content, content_type)
    rows = _rows(text)
    number, names = next(rows, (1, []))
    columns = _columns(number, names)
    read: list[QuestionRow] = []
    wrong: list[WrongField] = []
    for number, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(read) == MAX_QUESTIONS:
            raise Unprocessable(f"a list holds {MAX_QUESTIONS} questions at most", remedy=_SPLIT)
        try:
            read.append(QuestionRow(number, _question(columns, cells)))
        except ValueError as error:
            wrong.append(_at(number, str(error)))
        if len(wrong) == MOST_ERRORS:
            break
    if wrong:
        raise Unprocessable("some rows cannot be asked", remedy=_CORRECT, errors=wrong)
    if not read:
        raise Unprocessable("the file holds no questions", remedy=_CORRECT)
    return read


_CORRECT = "Correct what `errors` name by their rows; docs/evaluation.md says what a row may hold."
_SPLIT = "Send the rest as further lists."


def _decoded(content: bytes, content_type: str) -> str:
    """As its byte order mark says, else as the type's `charset` does, else as UTF-8."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() != MEDIA_TYPE:
        raise UnsupportedMediaType(
            "the questions are no CSV", remedy=f"Send them with `Content-Type: {MEDIA_TYPE}`."
        )
    marked = next((name for mark, name in _MARKED if content.startswith(mark)), None)
    encoding = marked or _charset(header)
    try:
        return content.decode(encoding)
    except UnicodeError as error:
        end = error.start if isinstance(error, UnicodeDecodeError) else 0
        row = content.count(b"\n", 0, end) + 1
        raise Unprocessable(
            f"the questions are not {encoding}",
            remedy="Save them as UTF-8, or name another `charset` in the `Content-Type`.",
            errors=[_at(row, f"no text in {encoding}")],
        ) from None


def _charset(header: Message) -> str:
    named = header.get_param("charset", "utf-8")
    try:
        # One that is encoded itself (`charset*=`) comes as a tuple.
        name = codecs.lookup(named).name if isinstance(named, str) else ""
    except (LookupError, ValueError):
        name = ""
    if name not in _CHARSETS:
        raise Unprocessable(
            "the `charset` of the questions is not known here", remedy="Save them as UTF-8."
        )
    return name


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """With their numbers. Raises Unprocessable where quotes do not pair."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise Unprocessable(
                "the questions are no CSV", remedy=_CORRECT, errors=[_at(number, str(error))]
            ) from None
        if cells is None:
            return
        yield number, cells


def _delimiter(text: str) -> str:
    """The one by which the first row has a column of questions."""
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    for delimiter in DELIMITERS:
        if QUESTION in [_name(cell) for cell in first.split(delimiter)]:
            return delimiter
    return DELIMITERS[0]


def _name(cell: str) -> str:
    return cell.strip().strip('"').strip().lower().replace(" ", "_").replace("-", "_")


def _columns(number: int, names: Sequence[str]) -> list[str]:
    columns = [_name(name) for name in names[: len(COLUMNS) + 1]]
    unknown = [name for name in columns if name not in COLUMNS]
    if QUESTION not in columns or unknown or len(set(columns)) < len(columns):
        raise Unprocessable(
            "the first row does not name the columns",
            remedy=f"Name `{QUESTION}`, and of {', '.join(COLUMNS)} what there is, each once.",
            errors=[_at(number, "a column is missing, unknown, or there twice")],
        )
    return columns


def _question(columns: Sequence[str], cells: Sequence[str]) -> ListedQuestion:
    """Raises ValueError with what is wrong, without what stands there."""
    if len(cells) > len(columns):
        raise ValueError("more cells than columns")
    cell = {
        name: require_storable(value).strip() for name, value in zip(columns, cells, strict=False)
    }
    if not cell.get(QUESTION):
        raise ValueError(f"`{QUESTION}` is empty")
    for name, longest in (
        (QUESTION, MAX_QUESTION_CHARACTERS),
        (ID, MAX_ID_CHARACTERS),
        (EXPECTED_ANSWER, MAX_EXPECTED_CHARACTERS),
        (EXPECTED_FILE, MAX_EXPECTED_CHARACTERS),
    ):
        if len(cell.get(name, "")) > longest:
            raise ValueError(f"`{name}` is longer than {longest} characters")
    return ListedQuestion(
        text=cell[QUESTION],
        id=cell.get(ID, ""),
        expected_answer=cell.get(EXPECTED_ANSWER, ""),
        expected_file=cell.get(EXPECTED_FILE, ""),
        expected_page=_page(cell.get(EXPECTED_PAGE, "")),
        filter=_filter(cell.get(FILTER, "")),
    )


def _page(cell: str) -> int | None:
    if not cell:
        return None
    is_number = cell.isascii() and cell.isdigit() and len(cell) <= _MOST_DIGITS
    if not is_number or not 1 <= int(cell) <= LARGEST_INTEGER:
        raise ValueError(f"`{EXPECTED_PAGE}` is no number of a page, from 1")
    return int(cell)


def _filter(cell: str) -> dict[str, JsonValue]:
    if not cell:
        return {}
    try:
        wanted = json.loads(cell)
    except (ValueError, RecursionError):
        raise ValueError(f"`{FILTER}` is no JSON") from None
    if not isinstance(wanted, dict):
        raise ValueError(f"`{FILTER}` is no JSON object")
    try:
        parse_filter(wanted)
    except MunimentError:
        raise ValueError(f"`{FILTER}` is no filter of a search") from None
    return wanted


def _at(number: int, detail: str) -> WrongField:
    return {"field": f"row {number}", "detail": detail}
