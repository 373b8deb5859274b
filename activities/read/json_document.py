"""JSON (RFC 8259), JSON Lines and Jupyter notebooks as documents."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from docling_core.types.doc.document import DoclingDocument

from activities.read.data_outline import (
    MAXIMUM_CELL_CHARACTERS,
    MAXIMUM_LEVEL,
    MAXIMUM_VALUES,
    DataOutline,
    are_tabular,
)
from activities.read.notebook import is_notebook, notebook_document
from activities.read.plain_text import plain_document

MAXIMUM_RECORD_DEPTH = 3
"""Objects within a record become columns such as `address.city`, so deep and no deeper."""

_NAMES = ("title", "name", "label", "id")


@dataclass(frozen=True, slots=True)
class Members:
    """An object's members as they stand, a name that comes twice included."""

    pairs: list[tuple[str, "Value"]]


Value = str | Members | list["Value"]
"""Numbers and literals stay as they are written: 1.10 is not 1.1 to its reader."""


def json_document(text: str) -> DoclingDocument:
    """Members as lines under headings of their names, lists of records as tables. What is not JSON
    after all, is nested without end or has too many values, is read as plain text."""
    try:
        value = _parsed(text)
        if isinstance(value, Members) and is_notebook(text):
            return notebook_document(text)
        if _size(value) > MAXIMUM_VALUES:
            return plain_document(text)
        outline = DataOutline()
        _write(outline, "", value, 1)
        return outline.document()
    except (ValueError, RecursionError):
        return plain_document(text)


def _size(value: Value) -> int:
    """How many values there are in it, itself included."""
    if isinstance(value, str):
        return 1
    parts = value if isinstance(value, list) else [member for _, member in value.pairs]
    return 1 + sum(map(_size, parts))


def _parsed(text: str) -> Value:
    """The value, or the list of those on the lines; ValueError when it is neither."""
    text = text.removeprefix("\ufeff")
    try:
        return _loads(text)
    except json.JSONDecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        return [_loads(line) for line in lines]


def _loads(text: str) -> Value:
    value: object = json.loads(
        text,
        object_pairs_hook=Members,
        parse_float=str,
        parse_int=str,
        parse_constant=str,
    )
    return _as_text(value)


def _as_text(value: object) -> Value:
    if isinstance(value, Members):
        return Members([(name, _as_text(member)) for name, member in value.pairs])
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, str):
        return value
    return json.dumps(value)


def _write(outline: DataOutline, path: str, value: Value, level: int) -> None:
    """`path` names the value below the last heading; empty where the heading does."""
    if isinstance(value, str):
        outline.value(path, value)
    elif isinstance(value, Members):
        # Below a heading nothing returns to what was above it: plain members come first.
        for name, member in sorted(value.pairs, key=lambda pair: not _is_plain(pair[1])):
            _write_below(outline, path, name, member, level)
    elif (listed := _listed(value)) is not None:
        outline.value(path, listed)
    elif are_tabular(records := list(_records(value))) and len(records) == len(value):
        if path:
            outline.heading(path, level)
        outline.records(records)
    elif len(value) == 1:
        _write(outline, path, value[0], level)
    else:
        for number, item in enumerate(value, start=1):
            if isinstance(item, str):
                outline.value(path, item)
            else:
                _write_below(outline, path, _name_of(item) or str(number), item, level)


def _write_below(outline: DataOutline, path: str, name: str, value: Value, level: int) -> None:
    """A heading for what has parts, as far as headings go; a path of names beyond."""
    whole = f"{path}.{name}" if path else name
    if isinstance(value, Members) and not value.pairs:
        outline.value(whole, "")
        return
    if _is_plain(value) or level > MAXIMUM_LEVEL:
        _write(outline, whole, value, level)
        return
    outline.heading(whole, level)
    _write(outline, "", value, level + 1)


def _is_plain(value: Value) -> bool:
    """Whether it is told in a line."""
    if isinstance(value, list):
        return _listed(value) is not None
    return isinstance(value, str) or not value.pairs


def _name_of(value: Value) -> str:
    """What an item of a list calls itself, if it does so in a word or a line."""
    members = dict(value.pairs) if isinstance(value, Members) else {}
    names = (members.get(key) for key in _NAMES)
    return next((name for name in names if isinstance(name, str) and 0 < len(name) <= 100), "")


def _listed(values: list[Value]) -> str | None:
    """A list of short plain values as one line."""
    length = 0
    texts = []
    for value in values:
        if not isinstance(value, str) or "\n" in value:
            return None
        length += len(value)
        if length > MAXIMUM_CELL_CHARACTERS:
            return None
        texts.append(value)
    return ", ".join(texts)


def _records(values: list[Value]) -> Iterator[dict[str, str]]:
    """The items as records, up to the first that is none."""
    for value in values:
        record: dict[str, str] = {}
        if not isinstance(value, Members) or not _flatten(record, "", value, 1):
            return
        yield record


def _flatten(record: dict[str, str], path: str, value: Members, depth: int) -> bool:
    """Fills in the object's members by their paths; False when it is no record."""
    for name, member in value.pairs:
        whole = f"{path}.{name}" if path else name
        if isinstance(member, Members):
            if depth >= MAXIMUM_RECORD_DEPTH or not _flatten(record, whole, member, depth + 1):
                return False
            continue
        text = _listed(member) if isinstance(member, list) else member
        if text is None or whole in record or len(text) > MAXIMUM_CELL_CHARACTERS:
            return False
        record[whole] = text
    return True
