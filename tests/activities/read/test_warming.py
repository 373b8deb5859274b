"""What the template reads before it serves."""

import tempfile

import pytest

from activities.read.calls import ReadProgress, ReadRequest
from activities.read.engine import read_text
from activities.read.text_layer import ENGINE
from activities.read.warming import documents_to_begin_with, page_of_lines
from activities.sandbox.content import Content
from activities.sandbox.registry import EngineContext
from muniment.contracts.documents import DocumentFamily, Page


def _read(request: ReadRequest, content: bytes) -> list[Page]:
    pages: list[Page] = []

    def take(progress: object) -> None:
        assert isinstance(progress, ReadProgress)
        assert progress.failed is None, progress
        if progress.page is not None:
            pages.append(progress.page)

    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        read_text(request, EngineContext(Content(file.fileno()), take))
    return pages


@pytest.mark.parametrize(
    ("request_", "content"),
    [pytest.param(*it, id=it[0].family) for it in documents_to_begin_with()],
)
def test_what_is_read_first_is_read_whole(request_: ReadRequest, content: bytes) -> None:
    (page,) = _read(request_, content)
    assert "A page to begin with: some words on one line." in page.text
    if request_.family is DocumentFamily.PDF:
        assert page.engine == ENGINE  # not pdfium: docling-parse is what has to be warm


def test_a_made_page_has_its_lines_in_order() -> None:
    lines = [f"Line {number} of the made page" for number in range(30)]
    request = ReadRequest(media_type="application/pdf", family=DocumentFamily.PDF, pages=(1,))
    (page,) = _read(request, page_of_lines(lines))
    assert page.text.splitlines() == lines
