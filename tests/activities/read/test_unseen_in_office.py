"""What office programs hide is told, and read by nobody; what they show struck through stays."""

import io

import docx
import openpyxl
import pptx
import pytest
from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from docx.shared import Pt, RGBColor
from pptx.util import Inches

from activities.assemble.export import document_text
from activities.inspect import file_type
from activities.read.provenance import settle_provenance
from activities.read.structured import convert
from activities.read.unseen_in_documents import HiddenByPage, take_out_unseen
from muniment.contracts.documents import DocumentFamily, HiddenKind
from tests.activities.made_documents import in_memory

WHITE = RGBColor(255, 255, 250)


def read(made: object, kind: file_type.FileType) -> tuple[dict[int, str], HiddenByPage]:
    """The text of every page, and what is hidden there."""
    out = io.BytesIO()
    made.save(out)  # type: ignore[attr-defined] # each library has its own type
    document = convert(in_memory(out.getvalue()), kind.media_type)
    is_presentation = kind is file_type.PPTX
    family = DocumentFamily.PRESENTATION if is_presentation else DocumentFamily.WORD
    settle_provenance(document, family)
    hidden = take_out_unseen(document)
    return {page: document_text(document, page) for page in document.pages}, hidden


def told(hidden: HiddenByPage, page: int = 1) -> list[str]:
    return [found.text for found in hidden.get(page, [])]


def letter() -> Document:
    document = docx.Document()
    document.add_paragraph("The keys hang in the tower.")
    return document


def test_hidden_runs_are_told() -> None:
    document = letter()
    paragraph = document.add_paragraph("Seen, ")
    paragraph.add_run("vanished").font.hidden = True
    paragraph.add_run("and seen again.")
    ghost = document.styles.add_style("Ghost", WD_STYLE_TYPE.CHARACTER)
    ghost.font.hidden = True
    document.add_paragraph().add_run("by style", style="Ghost")
    cell = document.add_table(1, 1).cell(0, 0)
    cell.paragraphs[0].add_run("In the cell.")
    cell.paragraphs[0].add_run("in the cell").font.hidden = True
    pages, hidden = read(document, file_type.DOCX)
    assert told(hidden) == ["vanished", "by style", "in the cell"]
    assert "Seen, and seen again." in pages[1]
    assert "In the cell." in pages[1]
    assert not any(text in pages[1] for text in told(hidden))


def test_tiny_and_white_runs_are_told() -> None:
    document = letter()
    document.add_paragraph().add_run("too small").font.size = Pt(1)
    document.add_paragraph().add_run("white").font.color.rgb = WHITE
    pages, hidden = read(document, file_type.DOCX)
    assert told(hidden) == ["too small", "white"]
    assert pages[1] == "The keys hang in the tower."


def test_white_text_on_a_ground_stays() -> None:
    document = letter()
    shade = f"<w:shd {nsdecls('w')} w:val='clear' w:fill='203040'/>"
    paragraph = document.add_paragraph()
    paragraph._p.get_or_add_pPr().append(parse_xml(shade))
    paragraph.add_run("on a shaded paragraph").font.color.rgb = WHITE
    run = document.add_paragraph().add_run("on a shaded run")
    run.font.color.rgb = WHITE
    run._r.get_or_add_rPr().append(parse_xml(shade))
    cell = document.add_table(1, 1).cell(0, 0)
    cell.paragraphs[0].add_run("in a table's head").font.color.rgb = WHITE
    struck = document.add_paragraph().add_run("struck through")
    struck.font.strike = True
    pages, hidden = read(document, file_type.DOCX)
    assert told(hidden) == []
    for text in ("shaded paragraph", "shaded run", "table's head", "struck through"):
        assert text in pages[1]


def test_a_style_may_show_what_another_hides() -> None:
    document = letter()
    document.styles["Normal"].font.color.rgb = WHITE
    run = document.add_paragraph().add_run("black again")
    run.font.color.rgb = RGBColor(0, 0, 0)
    pages, hidden = read(document, file_type.DOCX)
    assert told(hidden) == ["The keys hang in the tower."]
    assert pages[1] == "black again"


@pytest.mark.parametrize("merged", [False, True])
def test_hidden_rows_and_columns_are_told(merged: bool) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in range(2, 7):
        for column in range(3, 8):
            sheet.cell(row, column, f"{row}/{column}")
    sheet.row_dimensions[4].hidden = True
    sheet.column_dimensions.group("D", "E", hidden=True)
    if merged:
        sheet.merge_cells("C3:C4")
    pages, hidden = read(book, file_type.XLSX)
    (text,) = told(hidden)
    unseen = {f"{row}/{column}" for row in range(2, 7) for column in range(3, 8)} - set(
        pages[1].split()
    )
    gone = {f"{row}/{column}" for row in range(2, 7) for column in (4, 5)}
    gone |= {f"4/{column}" for column in range(3, 8)}
    assert unseen == gone
    assert set(text.split()) == (gone - {"4/3"} if merged else gone)
    assert pages[1].splitlines()[-1].split() == ["6/3", "6/6", "6/7"]


def test_hidden_sheets_are_told_with_what_they_hold() -> None:
    book = openpyxl.Workbook()
    book.active.append(["shown"])
    secret = book.create_sheet("Secret")
    secret.append(["never", "shown"])
    secret.sheet_state = "veryHidden"
    bare = book.create_sheet("Bare")
    bare.append(["all", "rows"])
    bare.row_dimensions[1].hidden = True
    pages, hidden = read(book, file_type.XLSX)
    assert told(hidden, 2) == ["never shown"]
    assert told(hidden, 3) == ["all rows"]
    assert "shown" in pages[1]
    assert not pages[2]


def test_hidden_slides_and_what_lies_beside_a_slide_are_told() -> None:
    presentation = pptx.Presentation()
    for number in (1, 2):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = f"Title {number}"
        beside = slide.shapes.add_textbox(Inches(-5), Inches(1), Inches(3), Inches(1))
        beside.text_frame.text = f"beside {number}"
        slide.notes_slide.notes_text_frame.text = f"say {number}"
    presentation.slides[1]._element.set("show", "0")
    pages, hidden = read(presentation, file_type.PPTX)
    assert [(found.kind, found.text) for found in hidden[1]] == [(HiddenKind.OFF_PAGE, "beside 1")]
    assert {"Title 2", "beside 2"} <= set(told(hidden, 2))
    assert pages[1].splitlines() == ["Title 1", "say 1"]
    assert "Title 2" not in pages[2]
