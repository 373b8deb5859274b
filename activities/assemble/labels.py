"""Which blocks are headings, captions or footnotes, and which go on from the one before."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from activities.assemble.blocks import BULLETS, Block, Label, size_of
from muniment.contracts.documents import BoundingBox, OutlineEntry, Page, PageSource

HEADING_SIZE = 1.13
"""A block this much larger than the body is a heading, where no long prose is set in its size."""
NUMBERED_HEADING_SIZE = 1.05
"""The same for a line that bears a number and stands alone."""
OCR_HEADING_SIZE = 1.35
"""Boxes of OCR vary by the letters in them."""
LONGEST_HEADING_CHARACTERS = 160
LONGEST_HEADING_LINES = 3
LONGEST_STYLED_HEADING_WORDS = 14
"""Of headings that only weight or slant tells apart."""
PROSE_LINES = 5
"""A size class in which blocks of that many lines are set holds prose, not headings."""
FOOTNOTE_SIZE = 0.92
FOOTNOTES_FROM = 0.55
"""Share of the page's height below which footnotes stand."""
CAPTION_LINES = 8
CAPTION_DISTANCE = 3.5
"""In ems, between a caption and what it is about."""

_CAPTION = re.compile(
    r"^(?:fig(?:ure|\.)?|table|tab\.|chart|exhibit|plate|scheme|listing|abb(?:ildung|\.)|tabelle"
    r"|tableau|figura|tabla|tabella|рис(?:унок|\.)|табл(?:ица|\.)|图|表|그림|표|図|شكل|جدول)\s*"
    r"(?:[A-Z]{1,3}[.-]?)?\d+(?:[.-]\d+)*[a-z]?(?:\s*[.:|–—-]\s*\S?|\s*$|\s+(?=[A-ZÀ-Þ\"“(]))",
    re.IGNORECASE,
)
_FOOTNOTE = re.compile(r"^(?:\d{1,3}[).]?|[*†‡§¶]+)\s*\S")
_DOTTED_LEADER = re.compile(r"(\.\s?){4,}|…{2,}")
_OPEN_END = re.compile(r"[^\W\d_]$|[,‐-]$")
_NUMBER = re.compile(r"^(?:\(?\d+(?:\.\d+)*[.)]?|[IVXLC]+\.|\(?[A-Za-z][.)])\s+\S")


@dataclass(frozen=True)
class DocumentStyle:
    """What most of the document looks like, and what its bookmarks name."""

    body_size: float
    body_is_bold: bool
    body_is_italic: bool
    sources: dict[int, PageSource]
    heights: dict[int, float]
    titles: dict[int, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, pages: Sequence[Page], outline: Sequence[OutlineEntry]) -> "DocumentStyle":
        sizes: Counter[float] = Counter()
        bold = italic = letters = 0
        for page in pages:
            for line in page.lines:
                count = len(line.text)
                sizes[round(size_of(line) * 2) / 2] += count
                letters += count
                bold += count if line.bold else 0
                italic += count if line.italic else 0
        titles: dict[int, set[str]] = {}
        for entry in outline:
            if entry.page is not None:
                titles.setdefault(entry.page, set()).add(_folded(entry.title))
        return cls(
            body_size=sizes.most_common(1)[0][0] if sizes else 0.0,
            body_is_bold=bold > 0.4 * letters,
            body_is_italic=italic > 0.4 * letters,
            sources={page.page: page.source for page in pages},
            heights={page.page: page.height for page in pages},
            titles=titles,
        )


def label(blocks: Sequence[Block], style: DocumentStyle) -> None:
    """Changes labels in place, and marks the blocks that go on from the one before."""
    _label_captions(blocks)
    candidates = [block for block in blocks if block.label in (Label.TEXT, Label.LIST_ITEM)]
    prose = {
        round(block.size, 1)
        for block in candidates
        if len(block.lines) >= PROSE_LINES and block.label is Label.TEXT
    }
    for block in candidates:
        if _is_heading(block, style, prose):
            block.label = Label.HEADING
            block.marker = ""
        elif _is_footnote(block, style):
            block.label = Label.FOOTNOTE
            block.marker = ""
    _join_paragraphs(blocks)


def _is_heading(block: Block, style: DocumentStyle, prose: set[float]) -> bool:
    text = block.plain_text
    if not _may_head(block, text, style):
        return False
    if _folded(text) in style.titles.get(block.page, ()):
        return True
    if style.sources[block.page] is PageSource.OCR:
        return block.size >= OCR_HEADING_SIZE * style.body_size
    if block.size >= HEADING_SIZE * style.body_size:
        return round(block.size, 1) not in prose
    if (
        block.size >= NUMBERED_HEADING_SIZE * style.body_size
        and len(block.lines) == 1
        and round(block.size, 1) not in prose
        and _NUMBER.match(text)
        and text.rstrip()[-1:] not in ".,;:"
    ):
        return True
    return _stands_out(block, text, style)


def _may_head(block: Block, text: str, style: DocumentStyle) -> bool:
    letters = sum(1 for character in text if character.isalpha())
    return not (
        style.body_size <= 0
        or len(block.lines) > LONGEST_HEADING_LINES
        or len(text) > LONGEST_HEADING_CHARACTERS
        or letters < 2
        or letters * 2 < len(text.replace(" ", ""))
        or _DOTTED_LEADER.search(text)
        or block.marker in BULLETS
    )


def _stands_out(block: Block, text: str, style: DocumentStyle) -> bool:
    """Set in bold or italic by itself, as headings in the size of the body are."""
    if (
        block.size < 0.95 * style.body_size
        or len(block.lines) > 2
        or len(text.split()) > LONGEST_STYLED_HEADING_WORDS
        or text.rstrip()[-1:] in ".,;:"
    ):
        return False
    if not style.body_is_bold and all(line.bold for line in block.lines):
        return True
    return (
        not style.body_is_italic
        and len(block.lines) == 1
        and all(line.italic for line in block.lines)
        and (bool(_NUMBER.match(text)) or text[:1].isupper())
        and block.label is Label.TEXT
    )


def _is_footnote(block: Block, style: DocumentStyle) -> bool:
    box = block.bbox
    return (
        box is not None
        and style.sources[block.page] is not PageSource.OCR
        and block.size <= FOOTNOTE_SIZE * style.body_size
        and box[1] >= FOOTNOTES_FROM * style.heights[block.page]
        and bool(_FOOTNOTE.match(block.plain_text))
        and block.marker not in BULLETS
    )


def _label_captions(blocks: Sequence[Block]) -> None:
    by_page: dict[int, list[Block]] = {}
    for block in blocks:
        if block.label in (Label.TABLE, Label.PICTURE):
            by_page.setdefault(block.page, []).append(block)
    for block in blocks:
        if block.label is not Label.TEXT or len(block.lines) > CAPTION_LINES:
            continue
        if _CAPTION.match(block.plain_text) and (
            nearest(block, by_page.get(block.page, ())) is not None
            or len(block.lines) <= CAPTION_LINES // 2
        ):
            block.label = Label.CAPTION


def nearest(caption: Block, others: Sequence[Block]) -> Block | None:
    """The block right above or below the caption, or beside it; None when none is near."""
    box = caption.bbox
    if box is None:
        return None
    reach = CAPTION_DISTANCE * max(6.0, caption.size)
    distances = [
        (distance, index)
        for index, other in enumerate(others)
        if (distance := _distance(box, other.bbox)) is not None and distance <= reach
    ]
    return others[min(distances)[1]] if distances else None


def _distance(box: BoundingBox, other: BoundingBox | None) -> float | None:
    """Vertical distance of boxes that share some width; None for others."""
    if other is None or min(box[2], other[2]) <= max(box[0], other[0]):
        return None
    return max(0.0, other[1] - box[3], box[1] - other[3])


def _join_paragraphs(blocks: Sequence[Block]) -> None:
    """A paragraph that a column's or page's end cut goes on where the next text starts with a small
    letter."""
    before: Block | None = None
    for block in blocks:
        if block.label is Label.TEXT:
            if before is not None and _goes_on(before, block):
                block.continues = True
            before = block
        elif block.label in (Label.HEADING, Label.LIST_ITEM, Label.CODE):
            before = None


def _goes_on(before: Block, block: Block) -> bool:
    if not before.lines or not block.lines or before is block:
        return False
    first, last = block.lines[0], before.lines[-1]
    if first.bbox is None or last.bbox is None:
        return False
    is_elsewhere = block.page == before.page + 1 or (
        block.page == before.page and first.bbox[1] < last.bbox[1]
    )
    return (
        is_elsewhere
        and abs(before.size - block.size) <= 0.08 * before.size
        and len(before.lines) > 1
        and block.plain_text[:1].islower()
        and bool(_OPEN_END.search(before.plain_text))
    )


def _folded(text: str) -> str:
    """A title as bookmarks and pages both have it: letters and digits only."""
    return "".join(character for character in text.lower() if character.isalnum())
