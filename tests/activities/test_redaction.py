"""What a redacted copy shows of pages that are not as most are."""

import io
import os

import numpy as np
import pypdfium2
import pytest

from activities.read.page_image import page_images
from activities.sandbox.content import Content
from activities.views.appearances import pages_with_appearances
from activities.views.redaction import redacted_pdf
from muniment.contracts.documents import DocumentFamily, PageBox
from muniment.contracts.render_view import RedactedView


def pdf(width: float, height: float, annotations: bytes = b"", stream: bytes = b"") -> bytes:
    """One page with words twenty points above its foot."""
    words = b"BT /F1 10 Tf 20 20 Td (ada@example.org) Tj ET"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %f %f]" % (width, height) + annotations
    form = b"<</Type/XObject/Subtype/Form/BBox[0 0 90 20]/Length %d>>" % len(stream)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page + b"/Resources<</Font<</F1 5 0 R>> >>/Contents 4 0 R>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(words), words),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        form + b"stream\n%s\nendstream" % stream,
    ]
    out, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj" % number + each + b"endobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start, count = len(out), len(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    return out + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (count, start)


@pytest.mark.parametrize(("width", "height"), [(595, 842), (226.77, 8500), (100, 14_000)])
def test_black_lies_where_the_words_are_on_pages_of_any_shape(width: float, height: float) -> None:
    descriptor = os.memfd_create("page")
    try:
        os.write(descriptor, pdf(width, height))
        content = Content(descriptor)
        with page_images(content, DocumentFamily.PDF, None) as images:
            assert np.any(images.image(1, dpi=150).pixels < 128)
            box = (15.0, height - 35.0, 100.0, height - 15.0)
            view = RedactedView(page_count=1, boxes=(PageBox(page=1, bbox=box),))
            made = pypdfium2.PdfDocument(redacted_pdf(images, view))
    finally:
        os.close(descriptor)
    left, top, right, bottom = (round(edge) for edge in (20, height - 28, 90, height - 20))
    drawn = made[0].render(scale=1).to_numpy()
    assert drawn[top:bottom, left:right].max() < 60
    assert drawn[: top - 30].min() > 200


@pytest.mark.parametrize(
    ("annotation", "goes"),
    [
        (b"/Subtype/Stamp/AP<</N 6 0 R>>", True),
        (b"/Subtype/FreeText/Contents(note)/AP<</N 6 0 R>>", True),
        (b"/Subtype/Stamp/F 2/AP<</N 6 0 R>>", False),
        (b"/Subtype/Link", False),
        (b"/Subtype/Highlight/AP<</N 6 0 R>>", False),
    ],
)
def test_a_page_on_which_an_annotation_draws_is_known(annotation: bytes, *, goes: bool) -> None:
    entry = b"/Annots[<</Type/Annot/Rect[20 100 110 120]" + annotation + b">>]"
    words = b"BT /F1 10 Tf 0 5 Td (ada) Tj ET"
    document = pypdfium2.PdfDocument(io.BytesIO(pdf(200, 200, entry, words)))
    assert pages_with_appearances(document) == (frozenset({1}) if goes else frozenset())
