"""Cuts a document's pages into batches for the stage `read`."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from muniment.contracts.documents import READ_BY_PAGE
from muniment.contracts.inspect import InspectResult
from muniment.contracts.page_ranges import PageRange, read_ranges
from workflows.policies import OCR_BATCH_PAGES, OCR_SPREAD, TEXT_BATCH_PAGES


@dataclass(frozen=True)
class Batch:
    """Pages `first_page` to `last_page`, both included; `needs_ocr` routes it."""

    first_page: int
    last_page: int
    needs_ocr: bool


def batches_of(inspected: InspectResult) -> list[Batch]:
    """The batches of a whole document."""
    last = inspected.page_count
    if inspected.family not in READ_BY_PAGE:
        return [Batch(1, last, needs_ocr=False)]
    return plan_batches(1, last, read_ranges(inspected.ocr_pages), last)


def plan_batches(
    first_page: int, last_page: int, ocr_ranges: list[PageRange], document_pages: int
) -> list[Batch]:
    """Every page once, in order; the cuts depend on the whole document only, so that a range of it
    is cut as it was before, and results are found again by their fingerprints.

    A run of text pages is cut at 16. Where OCR begins, a batch takes the pages that follow, text or
    not: alternating pages would else make a batch of each.
    """
    ocr_pages = {
        page
        for first, last in ocr_ranges
        for page in range(max(first, first_page), min(last, last_page) + 1)
    }
    size = max(1, min(OCR_BATCH_PAGES, ceil(document_pages / OCR_SPREAD)))
    return list(_cut(first_page, last_page, ocr_pages, size))


def _cut(first_page: int, last_page: int, ocr_pages: set[int], size: int) -> Iterator[Batch]:
    page = first_page
    while page <= last_page:
        if page in ocr_pages:
            last = min(page + size - 1, last_page)
            yield Batch(page, last, needs_ocr=True)
        else:
            last = min(page + TEXT_BATCH_PAGES - 1, last_page)
            last = next((ocr - 1 for ocr in range(page, last + 1) if ocr in ocr_pages), last)
            yield Batch(page, last, needs_ocr=False)
        page = last + 1
