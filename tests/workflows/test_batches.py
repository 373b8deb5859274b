"""How pages are cut into batches."""

import pytest

from muniment.contracts.page_ranges import clip_ranges, read_ranges, write_ranges
from workflows.batches import plan_batches


@pytest.mark.parametrize("pages", [1, 9, 10, 16, 17, 33, 500])
@pytest.mark.parametrize("every", [0, 1, 2, 3, 7])
def test_every_page_is_in_exactly_one_batch(pages: int, every: int) -> None:
    ocr = [page for page in range(1, pages + 1) if every and page % every == 0]
    batches = plan_batches(1, pages, read_ranges(write_ranges(ocr)), pages)
    covered = [page for batch in batches for page in range(batch.first_page, batch.last_page + 1)]
    assert covered == list(range(1, pages + 1))
    for batch in batches:
        size = batch.last_page - batch.first_page + 1
        assert size <= (8 if batch.needs_ocr else 16)
        needs = any(batch.first_page <= page <= batch.last_page for page in ocr)
        assert batch.needs_ocr is needs


def test_a_short_scan_is_spread_over_the_slots() -> None:
    batches = plan_batches(1, 10, [(1, 10)], 10)
    assert len(batches) == 4


def test_a_range_of_a_long_document_is_cut_as_the_whole_is() -> None:
    ocr = [(1, 4000)]
    whole = plan_batches(1, 4000, ocr, 4000)
    parts = plan_batches(1, 2000, ocr, 4000) + plan_batches(2001, 4000, ocr, 4000)
    assert parts == whole


def test_ranges_are_written_and_read_back() -> None:
    assert write_ranges([7, 1, 2, 3]) == "1-3,7"
    assert read_ranges("1-3,7") == [(1, 3), (7, 7)]
    assert clip_ranges("1-3,7,20-30", 2, 25) == "2-3,7,20-25"
    assert read_ranges("") == []


def test_many_ranges_are_joined_and_lose_no_page() -> None:
    pages = range(1, 10_000, 3)
    text = write_ranges(pages)
    ranges = read_ranges(text)
    assert len(text) < 4096
    assert all(any(first <= page <= last for first, last in ranges) for page in pages)
