"""A line across each page of a PDF, as readers show it whatever the page's frame; nothing else changes."""

import io

import numpy
import pypdfium2
import pytest
from numpy.typing import NDArray

from activities.views import marking
from activities.views.marking import mark, mark_pages
from muniment.errors import LimitExceeded
from tests.workflows.documents import text_pdf

LINE = "Shared by Ada Lovelace · 0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11"
ID = "0198c5f2"


def marked(content: bytes) -> pypdfium2.PdfDocument:
    with pypdfium2.PdfDocument(content) as document:
        mark_pages(document, LINE)
        out = io.BytesIO()
        document.save(out)
    return pypdfium2.PdfDocument(out.getvalue())


def text_of(page: pypdfium2.PdfPage) -> str:
    found = page.get_textpage().get_text_bounded()
    return " ".join(str(found).split())


def picture(page: pypdfium2.PdfPage) -> NDArray[numpy.uint8]:
    return numpy.asarray(page.render(scale=1, grayscale=True).to_numpy()).squeeze()


def test_every_page_has_the_line_and_what_it_had() -> None:
    with marked(text_pdf(["first page", "second page"])) as document:
        assert len(document) == 2
        for page, own in zip(document, ("first page", "second page"), strict=True):
            text = text_of(page)
            assert own in text
            assert LINE in text


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, (300, 500, 500, 600), (20, 20, 120, 700)])
def test_it_goes_from_the_lower_left_to_the_upper_right_of_what_is_shown(
    rotation: int, crop: tuple[float, float, float, float] | None
) -> None:
    with pypdfium2.PdfDocument.new() as document:
        page = document.new_page(595, 842)
        page.set_rotation(rotation)
        if crop is not None:
            page.set_cropbox(*crop)
        page.gen_content()
        out = io.BytesIO()
        document.save(out)
    with marked(out.getvalue()) as copy:
        ink = picture(copy[0]) < 250
    height, width = ink.shape
    rows, columns = numpy.nonzero(ink)
    reach = max((columns.max() - columns.min()) / width, (rows.max() - rows.min()) / height)
    assert 0.6 < reach < 1, "all of it is on the page, and across it"
    lower_left, upper_right = columns < width / 2, columns >= width / 2
    assert rows[lower_left].mean() > rows[upper_right].mean()
    assert abs(columns.mean() - width / 2) < width / 8
    assert abs(rows.mean() - height / 2) < height / 8


@pytest.mark.parametrize(
    "content",
    [
        b"0 0 10 10 re W n",
        b"0.1 0 0 0.1 0 0 cm",
        b"q q q 0.1 0 0 0.1 0 0 cm",
        b"Q Q Q",
        b"BT /F1 12 Tf 72 700 Td (open) Tj",
        b"BT /F1 12 Tf (words without end",
        b"BI /W 10 /H 10 ID aaaa",
        b"\x00\xff ((( [[[",
    ],
)
def test_no_content_hides_the_line_by_what_it_leaves_behind(content: bytes) -> None:
    plain = text_pdf(["PLACEHOLDER"])
    begin, end = plain.index(b"stream\n") + len(b"stream\n"), plain.index(b"\nendstream")
    hostile = plain[:begin] + content.ljust(end - begin) + plain[end:]
    with marked(hostile) as document:
        rows, _ = numpy.nonzero(picture(document[0]) < 250)
    assert rows.size > 0
    assert rows.max() - rows.min() > 0.6 * 842


def test_what_is_beneath_is_still_to_be_read() -> None:
    with marked(text_pdf([""])) as document:
        assert picture(document[0]).min() > 120


def test_a_document_of_very_many_pages_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marking, "MAXIMUM_PAGES", 1)
    with pypdfium2.PdfDocument(text_pdf(["a", "b"])) as document, pytest.raises(LimitExceeded):
        mark_pages(document, LINE)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Zoë Müller", f"Shared by Zoë Müller · {ID}"),
        ("Łukasz Čapek", f"Shared by ukasz Capek · {ID}"),
        ("王小明", f"Shared by {ID}"),
        ("王 Ming\r\n\x00\u202e)", f"Shared by Ming    ) · {ID}"),
        ("", f"Shared by {ID}"),
        ("a" * 300, f"Shared by {'a' * 80} · {ID}"),
    ],
)
def test_a_name_is_written_as_far_as_the_font_goes_and_the_id_always(name: str, line: str) -> None:
    assert mark(name, ID) == line
