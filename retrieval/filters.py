"""The `filter` of a search: which files' passages are wanted.

    media_type   a type, `image/*`, or a list of them
    label        a label or a list of them: files with any
    file_id      an id or a list of them
    created      {"gte" | "gt" | "lte" | "lt": RFC 3339 time or date}
    metadata     {field: condition, …}; any other key is a metadata field itself
    where        comparisons of metadata joined by `and` and `or` (retrieval/attribute_filters.py)

A condition on a metadata field is a value (or null: absent), a list of values of which one must
hold, or a range {"gte" | "gt" | "lte" | "lt": number or string}. A field that holds a list
satisfies a value that is in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import JsonValue

from db.queries.search import FileFilter, MetadataCondition, MetadataOperator
from muniment.errors import InvalidRequest
from retrieval.attribute_filters import parse_attribute_filter
from retrieval.query_language import ParsedQuery

MAX_CHOICES = 200
MAX_NUMBER = 1e30
_RESERVED = frozenset({"media_type", "label", "file_id", "created", "metadata", "where"})
_RANGE = {
    "gte": MetadataOperator.AT_LEAST,
    "gt": MetadataOperator.GREATER,
    "lte": MetadataOperator.AT_MOST,
    "lt": MetadataOperator.LESS,
}
_RESOLUTION = timedelta(microseconds=1)
"""PostgreSQL's and Python's: the next time after one that `gt` and `lte` name."""


def parse_filter(filter_: Mapping[str, JsonValue], collection: str | None = None) -> FileFilter:
    """The typed filter; InvalidRequest names the field that is wrong."""
    created_from, created_before = _time_range(filter_.get("created"))
    return FileFilter(
        collection=_text(collection, "collection") if collection else None,
        media_types=tuple(_like_pattern(each) for each in _texts(filter_, "media_type")),
        labels=_texts(filter_, "label"),
        file_ids=tuple(_uuid(each) for each in _texts(filter_, "file_id")),
        created_from=created_from,
        created_before=created_before,
        metadata=tuple(_metadata_conditions(filter_)),
        where=parse_attribute_filter(filter_["where"]) if "where" in filter_ else None,
    )


def _metadata_conditions(filter_: Mapping[str, JsonValue]) -> Iterator[MetadataCondition]:
    nested = filter_.get("metadata", {})
    if not isinstance(nested, dict):
        raise _wrong("metadata", "must be an object of fields and conditions")
    direct = {key: value for key, value in filter_.items() if key not in _RESERVED}
    for key, condition in [*nested.items(), *direct.items()]:
        _text(key, "metadata")
        if isinstance(condition, dict):
            yield from _range_conditions(key, condition)
        else:
            choices: list[JsonValue] = condition if isinstance(condition, list) else [condition]
            _check_choices(key, choices)
            yield MetadataCondition(key, MetadataOperator.ONE_OF, choices)


def _range_conditions(key: str, condition: Mapping[str, JsonValue]) -> Iterator[MetadataCondition]:
    if not condition:
        raise _wrong(key, "an empty range says nothing")
    for name, bound in condition.items():
        if name not in _RANGE:
            raise _wrong(key, f"a range knows {', '.join(_RANGE)}")
        if isinstance(bound, bool) or not isinstance(bound, int | float | str):
            raise _wrong(key, "a bound is a number or a string")
        _check_choices(key, [bound])
        yield MetadataCondition(key, _RANGE[name], bound)


def _check_choices(key: str, choices: list[JsonValue]) -> None:
    if not 0 < len(choices) <= MAX_CHOICES:
        raise _wrong(key, f"a list has 1 to {MAX_CHOICES} values")
    for choice in choices:
        if isinstance(choice, dict | list):
            raise _wrong(key, "a value is a string, a number, true, false or null")
        if isinstance(choice, int | float) and not abs(choice) < MAX_NUMBER:
            raise _wrong(key, "a number is finite and of reasonable size")
        if isinstance(choice, str):
            _text(choice, key)


def _time_range(value: JsonValue) -> tuple[datetime | None, datetime | None]:
    """[from, before): exclusive and inclusive ends are moved by the resolution of the clock."""
    if value is None:
        return None, None
    if not isinstance(value, dict) or not value or value.keys() - _RANGE.keys():
        raise _wrong("created", f"must be a range with {', '.join(_RANGE)}")
    times = {name: _time(bound) for name, bound in value.items()}
    starts = [times["gte"]] if "gte" in times else []
    starts += [times["gt"] + _RESOLUTION] if "gt" in times else []
    ends = [times["lt"]] if "lt" in times else []
    ends += [times["lte"] + _RESOLUTION] if "lte" in times else []
    return max(starts, default=None), min(ends, default=None)


def _time(value: JsonValue) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
        # Leaves room for the zone and for the step to the next time.
        if not 1 < moment.year < 9999:
            raise ValueError(value)
    except ValueError as error:
        raise _wrong("created", "a bound is an RFC 3339 time or a date") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _texts(filter_: Mapping[str, JsonValue], field: str) -> tuple[str, ...]:
    value = filter_.get(field)
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= MAX_CHOICES:
        raise _wrong(field, f"a list has 1 to {MAX_CHOICES} values")
    return tuple(_text(each, field) for each in values)


def _text(value: JsonValue, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(field, "must be a string that is not empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _wrong(field, "is not valid Unicode") from error
    if "\0" in value:
        raise _wrong(field, "must not hold NUL")
    return value


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise _wrong("file_id", "is not an id") from error


def of_names(filter_: FileFilter, query: ParsedQuery) -> FileFilter:
    """The filter, with what the query says of the files' names."""
    return replace(
        filter_,
        names=tuple(f"%{_escaped(part)}%" for part in query.names),
        excluded_names=tuple(f"%{_escaped(part)}%" for part in query.excluded_names),
    )


def _like_pattern(media_type: str) -> str:
    escaped = _escaped(media_type)
    return escaped[:-1] + "%" if escaped.endswith("/*") else escaped


def _escaped(content: str) -> str:
    return content.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _wrong(field: str, detail: str) -> InvalidRequest:
    """Field names of metadata are the tenant's data: only ours are repeated."""
    place = field if field in _RESERVED or field == "collection" else "metadata field"
    return InvalidRequest(
        f"The filter on {place} cannot be used: {detail}.",
        errors=[{"field": f"filter.{place}", "detail": detail}],
    )
