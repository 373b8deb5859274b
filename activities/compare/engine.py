"""The engine `compare`: two readings of the same pages, as figures."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.text import SectionHeaderItem, TitleItem
from rapidfuzz.distance import Indel

from activities.compare.calls import (
    CompareRequest,
    PageFigures,
    ReadingFigures,
    Shared,
    StructureFigures,
)
from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.documents import Page, PageBatch

KeyT = TypeVar("KeyT")
ORDERED_WORDS = 20_000
"""A page of more words (a printed one has some hundreds) is compared without their order, which
would take time with the square of them: 25 ms for 10,000, minutes for 300,000."""


@dataclass(frozen=True, slots=True)
class _PageWords:
    words: tuple[str, ...]
    confidence: float | None


@dataclass(frozen=True, slots=True)
class _Structure:
    """What stands on the pages compared, each as often as it does."""

    headings: Counter[tuple[int, str]]
    tables: Counter[tuple[int, int, int]]
    cells: Counter[tuple[int, str]]


@engine("compare")
def compare(request: CompareRequest, context: EngineContext) -> ReadingFigures:
    """A page that only one of them read is passed over, its structure too."""
    wanted = frozenset(request.pages)
    with context.content.open() as lines:
        present = _words_by_page(_pages(lines, request.present_batches), wanted)
        candidate = _words_by_page(_pages(lines, request.candidate_batches), wanted)
        alike = wanted - (present.keys() ^ candidate.keys())
        structures = [_structure(next(lines), alike) for _ in range(2)]
    both = sorted(present.keys() & candidate.keys())
    return ReadingFigures(
        pages=tuple(_compared(page, present[page], candidate[page]) for page in both),
        structure=_compared_structure(*structures),
    )


def _pages(lines: Iterator[bytes], batches: int) -> Iterator[Page]:
    for _ in range(batches):
        yield from PageBatch.model_validate_json(next(lines)).pages


def _words_by_page(pages: Iterable[Page], wanted: frozenset[int]) -> dict[int, _PageWords]:
    """Words in the order of reading; equal when they look equal (Unicode's NFKC)."""
    return {
        page.page: _PageWords(
            tuple(unicodedata.normalize("NFKC", page.text).split()), page.confidence
        )
        for page in pages
        if page.page in wanted
    }


def _compared(page: int, present: _PageWords, candidate: _PageWords) -> PageFigures:
    had, has = Counter(present.words), Counter(candidate.words)
    return PageFigures(
        page=page,
        similarity=_similarity(present.words, candidate.words, (had & has).total()),
        present_words=len(present.words),
        candidate_words=len(candidate.words),
        words_lost=(had - has).total(),
        words_gained=(has - had).total(),
        present_confidence=present.confidence,
        candidate_confidence=candidate.confidence,
    )


def _similarity(present: Sequence[str], candidate: Sequence[str], in_both: int) -> float:
    count = len(present) + len(candidate)
    if max(len(present), len(candidate)) > ORDERED_WORDS:
        return 2 * in_both / count
    return float(Indel.normalized_similarity(present, candidate))


def _structure(line: bytes, wanted: frozenset[int]) -> _Structure:
    document = DoclingDocument.model_validate_json(line)
    found = _Structure(Counter(), Counter(), Counter())
    for text in document.texts:
        page = text.prov[0].page_no if text.prov else 1
        if page in wanted and isinstance(text, SectionHeaderItem | TitleItem):
            found.headings[page, _folded(text.text)] += 1
    for table in document.tables:
        page = table.prov[0].page_no if table.prov else 1
        if page in wanted:
            found.tables[page, table.data.num_rows, table.data.num_cols] += 1
            cells = (_folded(cell.text) for cell in table.data.table_cells)
            found.cells.update((page, cell) for cell in cells if cell)
    return found


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _compared_structure(present: _Structure, candidate: _Structure) -> StructureFigures:
    return StructureFigures(
        headings=_shared(present.headings, candidate.headings),
        tables=_shared(present.tables, candidate.tables),
        cells=_shared(present.cells, candidate.cells),
    )


def _shared(present: Counter[KeyT], candidate: Counter[KeyT]) -> Shared:
    return Shared(
        present=present.total(),
        candidate=candidate.total(),
        shared=(present & candidate).total(),
    )
