"""A block's lines as one text."""

import re
from collections.abc import Iterable, Sequence

from activities.assemble.blocks import Block, Label
from muniment.contracts.documents import Line, Page

_HYPHENS = ("-", "‐", "\u00ad")
_WORD = re.compile(r"\w+(?:-\w+)*")
_LAST_PART = re.compile(r"(\w+)[-‐\u00ad]$")
_FIRST_PART = re.compile(r"\w+")
CHARACTER_WIDTH = 0.6
"""Of a typewriter's font, in ems."""
DEEPEST_INDENT = 60


def vocabulary(pages: Iterable[Page]) -> frozenset[str]:
    """The document's words, in small letters, hyphenated ones among them."""
    words: set[str] = set()
    for page in pages:
        words.update(_WORD.findall(page.text.lower()))
    return frozenset(words)


def text_of(block: Block, words: frozenset[str]) -> str:
    """Lines joined to one; words cut at a line's end are mended where the document has them whole,
    or where the rest starts with a small letter. Code keeps its lines."""
    if block.label is Label.CODE:
        return code_of(block.lines)
    text = joined([line.text for line in block.lines], words)
    return text[len(block.marker) :].strip() if block.marker else text


def joined(parts: Sequence[str], words: frozenset[str]) -> str:
    """Parts of a paragraph, in order, as one text."""
    text = ""
    for part in parts:
        following = part.strip()
        if not text:
            text = following
        elif text.endswith(_HYPHENS) and following[:1].islower():
            text = _mended(text, following, words)
        elif following:
            text = f"{text} {following}"
    return text


def code_of(lines: Sequence[Line]) -> str:
    """Lines of code, set in by where they start."""
    lefts = [line.bbox[0] for line in lines if line.bbox is not None]
    margin = min(lefts, default=0.0)
    rows: list[str] = []
    before: Line | None = None
    for line in lines:
        if before is not None and _shares_row(before, line):
            rows[-1] = f"{rows[-1]} {line.text}"
        else:
            width = CHARACTER_WIDTH * (line.font_size or 10.0)
            indent = round((line.bbox[0] - margin) / width) if line.bbox is not None else 0
            rows.append(" " * min(max(indent, 0), DEEPEST_INDENT) + line.text)
        before = line
    return "\n".join(rows)


def _shares_row(before: Line, line: Line) -> bool:
    if before.bbox is None or line.bbox is None:
        return False
    shared = min(before.bbox[3], line.bbox[3]) - max(before.bbox[1], line.bbox[1])
    return shared > 0.5 * (line.bbox[3] - line.bbox[1])


def _mended(text: str, following: str, words: frozenset[str]) -> str:
    first = _LAST_PART.search(text)
    rest = _FIRST_PART.match(following)
    if first is None or rest is None:
        return text + following
    hyphenated = f"{first.group(1)}-{rest.group(0)}".lower()
    whole = f"{first.group(1)}{rest.group(0)}".lower()
    if hyphenated in words and whole not in words:
        return text + following
    return text[:-1] + following
