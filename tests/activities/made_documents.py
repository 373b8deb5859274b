"""Small documents made on the spot, each in its format's own library or by hand."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import docx
import openpyxl
import pptx
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from PIL import Image, ImageDraw, ImageFont
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches
from pydantic import BaseModel

from activities.inspect.calls import InspectRequest
from activities.inspect.engine import inspect
from activities.sandbox.content import Content
from activities.sandbox.registry import EngineContext
from muniment.contracts.documents import DocumentPlan

SAMPLES = Path(__file__).parents[1] / "samples"
Text = tuple[float, float, float, str]
"""x and baseline y in points from the page's lower left corner, size, text."""


def pdf(pages: Sequence[Sequence[Text]], *, page_entries: str = "") -> bytes:
    """A PDF of A4 pages (595 × 842 points) with Helvetica in the given places."""
    bodies = ["<</Type/Catalog/Pages 2 0 R>>", ""]
    kids = []
    for texts in pages:
        stream = "\n".join(
            f"BT /F1 {size:g} Tf {x:g} {y:g} Td ({text}) Tj ET" for x, y, size, text in texts
        )
        number = len(bodies) + 1
        kids.append(f"{number} 0 R")
        bodies.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {number + 1} 0 R{page_entries}"
            "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>"
        )
        bodies.append(f"<</Length {len(stream)}>>\nstream\n{stream}\nendstream")
    bodies[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
    return assembled_pdf(bodies)


def assembled_pdf(bodies: Sequence[str]) -> bytes:
    """A PDF of these objects, numbered from 1; the first is its catalogue."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    start = len(out)
    entries = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out += f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{entries}".encode()
    out += f"trailer<</Size {len(bodies) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def picture(lines: Sequence[str], *, turned: int = 0, form: str = "PNG") -> bytes:
    """A page of 150 dpi with the lines printed on it, turned by so many degrees clockwise."""
    image = Image.new("RGB", (1240, 500), "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((80, 60 + 70 * number), line, "black", ImageFont.load_default(40))
    out = io.BytesIO()
    image.rotate(-turned, expand=True).save(out, form, dpi=(150, 150))
    return out.getvalue()


def word_document() -> bytes:
    document = docx.Document()
    document.core_properties.title = "Rules of the archive"
    document.add_heading("Keeping", 1)
    document.add_paragraph("Every deed is kept in the muniment room.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip((c for row in table.rows for c in row.cells), "abcd", strict=True):
        cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


_FOOTNOTES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:footnotes xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
<w:footnote w:type="separator" w:id="-1"><w:p><w:r><w:separator/></w:r></w:p></w:footnote>
<w:footnote w:id="1"><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:footnote>
</w:footnotes>"""


def word_document_with_footnote(text: str) -> bytes:
    document = docx.Document()
    document.add_paragraph("The charter was sealed.")
    part = Part(
        PackURI("/word/footnotes.xml"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml",
        _FOOTNOTES.format(text=text).encode(),
        document.part.package,
    )
    document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def presentation(slides: int) -> bytes:
    deck = pptx.Presentation()
    for number in range(1, slides + 1):
        slide = deck.slides.add_slide(deck.slide_layouts[0])
        slide.shapes.title.text = f"Slide number {number}"
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def presentation_of_chart() -> bytes:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Deeds by year"
    data = CategoryChartData()
    data.categories = ["1215", "1216"]
    data.add_series("Sealed", (7, 9))
    data.add_series("Lost", (2, 4))
    slide.shapes.add_chart(
        XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(2), Inches(6), Inches(4), data
    )
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "First"
    book.active.append(["Deed", "Year"])
    book.active.append(["Charter", 1215])
    book.create_sheet("Second").append(["only here"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def in_memory(data: bytes) -> Content:
    """The content as an engine gets it; its descriptor lives as long as the test process."""
    descriptor = os.memfd_create("document")
    os.write(descriptor, data)
    return Content(descriptor)


def unheard(_progress: BaseModel) -> None:
    """For engines whose progress a test does not care about."""


def inspected(data: bytes, name: str, password: str | None = None) -> DocumentPlan:
    request = InspectRequest(
        declared_media_type="application/octet-stream", name=name, password=password
    )
    return inspect(request, EngineContext(in_memory(data), unheard))
