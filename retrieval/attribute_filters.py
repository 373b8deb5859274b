"""Comparisons of a file's metadata that are joined by `and` and `or`, as clients of OpenAI's vector
stores write them.

    {"type": "eq" | "ne" | "gt" | "gte" | "lt" | "lte", "key": field, "value": string, number or boolean}
    {"type": "in" | "nin", "key": field, "value": [string or number, …]}
    {"type": "and" | "or", "filters": [any of these, …]}

A field that holds a list satisfies what one of its members does. `ne` and `nin` hold where `eq` and `in`
do not, so also where the field is absent. A bound is compared with its like alone.
"""

import json
import math
from collections.abc import Mapping

from pydantic import JsonValue

from db.queries.search import MetadataPath
from muniment.errors import InvalidRequest

MAX_DEPTH = 8
MAX_COMPARISONS = 100
MAX_CHOICES = 200
MAX_KEY_CHARACTERS = 200
MAX_NUMBER = 1e30

_JOINS = {"and": " && ", "or": " || "}
_BOUNDS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_EQUALITIES = {"eq": False, "ne": True}
_CHOICES = {"in": False, "nin": True}


def parse_attribute_filter(filter_: JsonValue) -> MetadataPath:
    """As a predicate of jsonpath (SQL/JSON, ISO 9075-2), whose values are variables. Raises InvalidRequest
    for what is no such filter."""
    parser = _Parser()
    path = parser.predicate(filter_, MAX_DEPTH)
    return MetadataPath(path, json.dumps(parser.variables))


class _Parser:
    """`variables`: the values so far, by their names in the path."""

    def __init__(self) -> None:
        self.variables: dict[str, JsonValue] = {}
        self._comparisons = 0

    def predicate(self, filter_: JsonValue, depth: int) -> str:
        if depth == 0:
            raise _wrong(f"filters are at most {MAX_DEPTH} deep")
        if not isinstance(filter_, dict):
            raise _wrong("a filter is an object")
        kind = filter_.get("type")
        if not isinstance(kind, str):
            raise _wrong("a filter has a `type`")
        if kind in _JOINS:
            return self._joined(filter_, _JOINS[kind], depth)
        return self._comparison(filter_, kind)

    def _joined(self, filter_: Mapping[str, JsonValue], join: str, depth: int) -> str:
        filters = filter_.get("filters")
        if filter_.keys() != {"type", "filters"} or not isinstance(filters, list) or not filters:
            raise _wrong("`and` and `or` join a list of `filters`")
        return f"({join.join(self.predicate(each, depth - 1) for each in filters)})"

    def _comparison(self, filter_: Mapping[str, JsonValue], kind: str) -> str:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise _wrong(f"at most {MAX_COMPARISONS} comparisons are taken")
        if filter_.keys() != {"type", "key", "value"}:
            raise _wrong("a comparison has a `type`, a `key` and a `value`")
        field, value = _field(filter_["key"]), filter_["value"]
        if kind in _BOUNDS:
            return f"({field} {_BOUNDS[kind]} {self._bound(value)})"
        if kind in _EQUALITIES:
            equality = f"{field} == {self._variable(value)}"
            return _negated(equality) if _EQUALITIES[kind] else f"({equality})"
        if kind in _CHOICES:
            return self._choice(field, value, is_negated=_CHOICES[kind])
        known = ", ".join([*_EQUALITIES, *_BOUNDS, *_CHOICES, *_JOINS])
        raise _wrong(f"the types are {known}")

    def _bound(self, value: JsonValue) -> str:
        if isinstance(value, bool):
            raise _wrong("a bound is a number or a string")
        return self._variable(value)

    def _choice(self, field: str, value: JsonValue, *, is_negated: bool) -> str:
        if not isinstance(value, list) or not 0 < len(value) <= MAX_CHOICES:
            raise _wrong(f"`in` and `nin` take a list of 1 to {MAX_CHOICES} values")
        equalities = [f"{field} == {self._variable(each)}" for each in value]
        if is_negated:
            return f"({' && '.join(map(_negated, equalities))})"
        return f"({' || '.join(equalities)})"

    def _variable(self, value: JsonValue) -> str:
        if isinstance(value, str):
            _require_storable(value)
        elif isinstance(value, int | float):
            if not (math.isfinite(value) and abs(value) < MAX_NUMBER):
                raise _wrong("a number is finite and of reasonable size")
        else:
            raise _wrong("a value is a string, a number, true or false")
        name = f"value{len(self.variables)}"
        self.variables[name] = value
        return f"${name}"


def _negated(equality: str) -> str:
    """Values of different types cannot be compared: neither is what the other is."""
    return f"(({equality}) is unknown || !({equality}))"


def _field(key: JsonValue) -> str:
    """Quoted as a string of JSON, as which jsonpath reads it."""
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise _wrong(f"a key is a string of 1 to {MAX_KEY_CHARACTERS} characters")
    _require_storable(key)
    return f"$.{json.dumps(key)}"


def _require_storable(content: str) -> None:
    if "\0" in content or any("\ud800" <= each <= "\udfff" for each in content):
        raise _wrong("text holds neither NUL nor lone surrogates")


def _wrong(detail: str) -> InvalidRequest:
    return InvalidRequest(
        f"The filter on attributes cannot be used: {detail}.",
        errors=[{"field": "filters", "detail": detail}],
    )
