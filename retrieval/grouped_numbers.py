"""Numbers with commas between their thousands: `1,452.4` is one word, the same as `1452.4`, as PostgreSQL's
function `searchable_words` makes it (docs/search.md); PostgreSQL by itself reads two numbers."""

import re

GROUP_COMMA = r"([0-9]),(?=[0-9]{3}([^0-9]|$))"
"""A comma between thousands, behind a digit that stays: the expression of that function."""

_GROUP_COMMA = re.compile(GROUP_COMMA)
_NUMBER = re.compile(r"(?<![0-9.,])[0-9]+(?:,[0-9]{3})*(?![0-9])(?:\.[0-9]+)?")


def ungrouped(text: str) -> str:
    return _GROUP_COMMA.sub(r"\1", text)


def number_ranges(text: str, query: str) -> list[tuple[int, int]]:
    """The stretches of `text`, [start, end) code points in order, that are the query's numbers with commas
    between their thousands."""
    asked = {ungrouped(number) for number in _NUMBER.findall(query)}
    if not asked:
        return []
    return [
        found.span()
        for found in _NUMBER.finditer(text)
        if "," in found[0] and ungrouped(found[0]) in asked
    ]
