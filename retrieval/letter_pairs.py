"""Scripts that put no space between words: their words are looked for as pairs of neighbouring letters, as
PostgreSQL's function `searchable_words` makes them (docs/search.md)."""

import re

LETTER = (
    r"\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Of Thai and Lao, Burmese, Khmer, the Japanese syllabaries, and Chinese characters: a class of regular
expressions, the same as in that function."""

_RUN = re.compile(f"[{LETTER}]+")


def has_letters(text: str) -> bool:
    return _RUN.search(text) is not None


def in_pairs(text: str) -> str:
    """With the pairs of each run of letters between spaces; a letter that stands alone stays one."""
    return _RUN.sub(lambda run: f" {' '.join(_pairs(run[0]))} ", text)


def pair_ranges(text: str, query: str) -> list[tuple[int, int]]:
    """The stretches of `text`, [start, end) code points in order, that are made of the query's pairs."""
    asked = {pair for run in _RUN.findall(query) for pair in _pairs(run)}
    ranges: list[tuple[int, int]] = []
    if not asked:
        return ranges
    for run in _RUN.finditer(text):
        for offset, pair in enumerate(_pairs(run[0])):
            if pair not in asked:
                continue
            start = run.start() + offset
            end = start + len(pair)
            if ranges and start <= ranges[-1][1]:
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((start, end))
    return ranges


def _pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)] or [run]
