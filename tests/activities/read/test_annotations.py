"""Values of form fields and notes stand among a page's lines, once."""

import io
from pathlib import Path

import pypdfium2
import pytest

from activities.read.annotations import open_form, with_annotations
from activities.read.parsed_page import parse
from activities.read.text_layer import TextLayerReader
from muniment.contracts.documents import HiddenKind, Line, Page, PageSource
from tests.activities.made_documents import assembled_pdf

FIELDS = (
    "<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Ada Lovelace)/Rect[200 690 400 710]/F 4>>",
    "<</Type/Annot/Subtype/Widget/FT/Tx/T(secret)/Ff 8192/V(hunter2)/Rect[200 650 400 670]/F 4>>",
    "<</Type/Annot/Subtype/Widget/FT/Ch/Ff 131072/T(city)/V(Paris)/Opt[(Paris)(Rome)]"
    "/Rect[200 610 400 630]/F 4>>",
    "<</Type/Annot/Subtype/Widget/FT/Tx/T(unseen)/V(nobody sees this)/Rect[200 570 400 590]/F 2>>",
    "<</Type/Annot/Subtype/Text/Contents(Check this date.)/Rect[500 690 520 710]>>",
    "<</Type/Annot/Subtype/FreeText/Contents(Drawn already)/Rect[50 490 300 520]>>",
)


def form(rotation: int = 0) -> bytes:
    fields = " ".join(f"{number} 0 R" for number in range(4, 4 + len(FIELDS)))
    bodies = [
        f"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[{fields}]>>>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Rotate {rotation}/Annots[{fields}]>>",
        *FIELDS,
    ]
    return assembled_pdf(bodies)


def annotated(rotation: int, *drawn: Line) -> Page:
    document = pypdfium2.PdfDocument(io.BytesIO(form(rotation)))
    open_form(document)
    page = Page(
        page=1,
        width=595,
        height=842,
        source=PageSource.TEXT,
        engine="test",
        text="\n".join(line.text for line in drawn),
        lines=drawn,
    )
    try:
        return with_annotations(document, page)
    finally:
        document.close()


def test_values_stand_behind_their_labels_and_nothing_is_said_twice() -> None:
    page = annotated(
        0,
        Line(text="Name:", bbox=(100, 134, 150, 150)),
        Line(text="City:", bbox=(100, 214, 150, 230)),
        Line(text="Drawn already", bbox=(50, 325, 200, 345)),
    )
    assert [line.text for line in page.lines] == [
        "Name:",
        "Ada Lovelace",
        "Check this date.",
        "City:",
        "Paris",
        "Drawn already",
    ]
    assert page.text.splitlines()[1] == "Ada Lovelace"
    assert page.lines[1].bbox == (200, 132, 400, 152)


@pytest.mark.parametrize(
    ("rotation", "bbox"),
    [(90, (690, 200, 710, 400)), (180, (195, 690, 395, 710)), (270, (132, 195, 152, 395))],
)
def test_boxes_turn_with_the_page(rotation: int, bbox: tuple[float, float, float, float]) -> None:
    (name,) = [line for line in annotated(rotation).lines if line.text == "Ada Lovelace"]
    assert name.bbox == pytest.approx(bbox, abs=0.02)


def table_form() -> bytes:
    """A heading, a ruled table with an empty cell, a text; fields beside the heading, in the empty
    cell, over a filled cell, and beside the table."""
    rules = [
        f"{left} {y} m {right} {y} l S"
        for left, right, y in ((70, 400, y) for y in (716, 696, 676, 656))
    ]
    rules += [f"{x} 716 m {x} 656 l S" for x in (70, 220, 320, 400)]
    cells = [["Deed", "Year", "Seal"], ["Grant of land", "", "red"], ["Lease", "1301", "green"]]
    texts = ["BT /F1 10 Tf 72 760 Td (Register of) Tj ET"]
    texts += [
        f"BT /F1 10 Tf {x} {702 - 20 * row} Td ({text}) Tj ET"
        for row, columns in enumerate(cells)
        for x, text in zip((80, 230, 330), columns, strict=True)
        if text
    ]
    texts.append("BT /F1 10 Tf 72 600 Td (What follows the table.) Tj ET")
    fields = [
        f"<</Type/Annot/Subtype/Widget/FT/Tx/T(f{number})/V({value})/Rect[{place}]/F 4>>"
        for number, (value, place) in enumerate(
            [
                ("Skerry", "140 756 200 772"),
                ("1215", "225 678 315 694"),
                ("sealed", "350 662 395 670"),
                ("seen by the clerk", "420 678 500 694"),
            ]
        )
    ]
    stream = "\n".join([*rules, *texts])
    listed = " ".join(f"{number} 0 R" for number in range(5, 5 + len(fields)))
    bodies = [
        f"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[{listed}]>>>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Annots[{listed}]"
        "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
        f"<</Length {len(stream)}>>\nstream\n{stream}\nendstream",
        *fields,
    ]
    return assembled_pdf(bodies)


def test_a_table_keeps_its_cells_where_values_stand_before_in_and_beside_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "form.pdf"
    file.write_bytes(table_form())
    with pypdfium2.PdfDocument(file) as document:
        open_form(document)
        reader = TextLayerReader(document, parse(str(file), None))
        page = with_annotations(document, reader.read(1))
    (table,) = page.tables
    grid = [[""] * table.column_count for _ in range(table.row_count)]
    for cell in table.cells:
        lines = page.lines[cell.first_line : cell.first_line + cell.line_count]
        grid[cell.row][cell.column] = " ".join(line.text for line in lines)
    assert grid == [
        ["Deed", "Year", "Seal"],
        ["Grant of land", "1215", "red"],
        ["Lease", "1301", "green sealed"],
    ]
    assert [line.text for line in page.lines[: table.first_line]] == ["Register of", "Skerry"]
    after = table.first_line + table.line_count
    assert [line.text for line in page.lines[after:]] == [
        "seen by the clerk",
        "What follows the table.",
    ]
    assert page.text.splitlines() == [line.text for line in page.lines]


def test_values_that_nobody_sees_are_hidden_text() -> None:
    told = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    spelled = f"\ufeffseen{told}".encode("utf-16-be").hex()
    fields = [
        f"<</Type/Annot/Subtype/Widget/FT/Tx/T(f{number})/V{value}/Rect[{place}]/F 4>>"
        for number, (value, place) in enumerate(
            [
                ("(outside)", "700 690 900 710"),
                ("(no height)", "200 600 400 600"),
                (f"<{spelled}>", "200 500 400 520"),
            ]
        )
    ]
    listed = " ".join(f"{number} 0 R" for number in range(4, 4 + len(fields)))
    content = assembled_pdf(
        [
            f"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[{listed}]>>>>",
            "<</Type/Pages/Kids[3 0 R]/Count 1>>",
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Annots[{listed}]>>",
            *fields,
        ]
    )
    with pypdfium2.PdfDocument(content) as document:
        open_form(document)
        page = with_annotations(document, TextLayerReader(document, None).read(1))
    assert page.text == "seen"
    assert [(hidden.kind, hidden.text) for hidden in page.hidden] == [
        (HiddenKind.OFF_PAGE, "outside"),
        (HiddenKind.TINY, "no height"),
        (HiddenKind.UNSEEN_CHARACTERS, "obey"),
    ]
