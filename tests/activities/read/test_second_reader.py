"""What docling's backends stumble over is read by kreuzberg, and what nobody sees of it by nobody."""

import io
import re
import zipfile
from collections.abc import Callable

import docx
import openpyxl
import pptx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.shared import Pt, RGBColor
from pptx.util import Inches

from activities.assemble.export import document_text
from activities.inspect import file_type
from activities.read.provenance import settle_provenance
from activities.read.second_reader import read_again
from activities.read.structured import _convert_by_docling, convert
from activities.read.unseen_in_documents import take_out_unseen
from muniment.contracts.documents import DocumentFamily
from muniment.errors import DamagedDocument
from tests.activities.made_documents import in_memory
from tests.activities.open_documents import open_document

Change = Callable[[bytes], bytes]


def saved(made: object) -> bytes:
    out = io.BytesIO()
    made.save(out)  # type: ignore[attr-defined] # each library has its own type
    return out.getvalue()


def changed(data: bytes, part: str, change: Change) -> bytes:
    """The package with one part changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, change(content) if name == part else content)
    return out.getvalue()


def read(data: bytes, kind: file_type.FileType) -> tuple[dict[int, str], dict[int, list[str]]]:
    """The text of every page, and what is hidden there, of a document that docling cannot read."""
    with pytest.raises(DamagedDocument):
        _convert_by_docling(data, kind.media_type)
    document = convert(in_memory(data), kind.media_type)
    settle_provenance(document, DocumentFamily.WORD)
    hidden = {
        page: [found.text for found in texts] for page, texts in take_out_unseen(document).items()
    }
    return {page: document_text(document, page) for page in document.pages}, hidden


def letter() -> bytes:
    document = docx.Document()
    paragraph = document.add_paragraph("Seen, ")
    paragraph.add_run("vanished").font.hidden = True
    paragraph.add_run("and seen again.")
    ghost = document.styles.add_style("Ghost", WD_STYLE_TYPE.CHARACTER)
    ghost.font.hidden = True
    document.add_paragraph().add_run("by style", style="Ghost")
    document.add_paragraph().add_run("too small").font.size = Pt(1)
    document.add_paragraph().add_run("white").font.color.rgb = RGBColor(255, 255, 255)
    return saved(document)


def _without_relations(content: bytes) -> bytes:
    return content.replace(b"<Relationship ", b"<Unrelated ")


def _of_another_namespace(content: bytes) -> bytes:
    return re.sub(rb'(xmlns:w=")[^"]+', rb"\1urn:none", content)


def _with_a_tail(content: bytes) -> bytes:
    return content + b"<more/>"


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("word/document.xml", _of_another_namespace),
        ("word/document.xml", _with_a_tail),
        ("_rels/.rels", _without_relations),
        ("word/_rels/document.xml.rels", _with_a_tail),
        ("word/styles.xml", _with_a_tail),
    ],
)
def test_hidden_runs_of_a_damaged_letter_are_told(part: str, change: Change) -> None:
    pages, hidden = read(changed(letter(), part, change), file_type.DOCX)
    assert hidden == {1: ["vanished", "by style", "too small", "white"]}
    assert pages == {1: "Seen, and seen again."}


def test_a_letter_of_which_nothing_is_seen_is_empty() -> None:
    document = docx.Document()
    document.add_paragraph().add_run("all of it").font.hidden = True
    data = changed(saved(document), "word/document.xml", _of_another_namespace)
    assert read(data, file_type.DOCX) == ({1: ""}, {1: ["all of it"]})


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/styles.xml"])
def test_hidden_cells_and_sheets_of_a_damaged_workbook_are_told(part: str) -> None:
    book = openpyxl.Workbook()
    for row in range(1, 5):
        book.active.append([f"{row}/{column}" for column in range(1, 5)])
    book.active.row_dimensions[2].hidden = True
    book.active.column_dimensions.group("C", "D", hidden=True)
    secret = book.create_sheet("Secret")
    secret.append(["never", 7])
    secret.sheet_state = "veryHidden"
    book.create_sheet("Last").append(["shown"])
    pages, hidden = read(changed(saved(book), part, _with_a_tail), file_type.XLSX)
    assert [set(pages[number].split()) for number in (1, 2, 3)] == [
        {"1/1", "1/2", "3/1", "3/2", "4/1", "4/2"},
        set(),
        {"shown"},
    ]
    assert set(hidden[1][0].split()) == {
        *(f"2/{column}" for column in range(1, 5)),
        *(f"{row}/{column}" for row in (1, 3, 4) for column in (3, 4)),
    }
    assert hidden[2] == ["never 7"]


def test_a_sheet_that_no_workbook_lists_is_not_shown() -> None:
    book = openpyxl.Workbook()
    book.active.append(["shown"])
    book.create_sheet("Other").append(["unlisted"])
    unlisted = changed(
        saved(book),
        "xl/workbook.xml",
        lambda content: re.sub(rb"<sheet [^>]*Other.*?/>", b"", content),
    )
    document = read_again(unlisted, file_type.XLSX.media_type)
    assert "unlisted" not in document_text(document)


@pytest.mark.parametrize("part", ["ppt/slides/slide1.xml", "ppt/slideMasters/slideMaster1.xml"])
def test_hidden_slides_and_shapes_of_a_damaged_presentation_are_told(part: str) -> None:
    presentation = pptx.Presentation()
    for number in range(1, 12):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = f"Title {number}"
    first, second = presentation.slides[0], presentation.slides[1]
    for name, left in (("beside", -5), ("on it", 1)):
        first.shapes.add_textbox(
            Inches(left), Inches(1), Inches(3), Inches(1)
        ).text_frame.text = name
    group = first.shapes.add_group_shape()
    inside = group.shapes.add_textbox(Inches(1), Inches(4), Inches(1), Inches(1))
    inside.text_frame.text = "switched off"
    inside._element.nvSpPr.cNvPr.set("hidden", "1")
    second._element.set("show", "0")
    listed = presentation.slides._sldIdLst
    listed.append(listed[0])  # the first comes last
    pages, hidden = read(changed(saved(presentation), part, _with_a_tail), file_type.PPTX)
    assert pages[1] == ""
    assert hidden[1] == ["Title 2"]
    assert [pages[number] for number in range(2, 11)] == [f"Title {n}" for n in range(3, 12)]
    assert set(pages[11].splitlines()) == {"Title 1", "on it"}
    assert set(hidden[11]) == {"beside", "switched off"}


ODT_STYLES = (
    '<style:style style:name="Gone" style:family="text">'
    '<style:text-properties text:display="none"/></style:style>'
    '<style:style style:name="Shown" style:family="text">'
    '<style:text-properties text:display="true"/></style:style>'
    '<style:style style:name="White" style:family="paragraph" style:parent-style-name="Base">'
    '<style:text-properties fo:color="#fffffe"/></style:style>'
    '<style:style style:name="Tiny" style:family="paragraph">'
    '<style:text-properties fo:font-size="1pt"/></style:style>'
    '<style:style style:name="Boxed" style:family="paragraph" style:parent-style-name="White">'
    '<style:paragraph-properties fo:background-color="#203040"/></style:style>'
)
ODT_BODY = (
    '<text:p>Seen, <text:span text:style-name="Gone">vanished{}</text:span>and seen again.</text:p>'
    '<text:section text:name="s" text:display="none"><text:p>in a section</text:p></text:section>'
    '<text:p text:style-name="White">white</text:p><text:p text:style-name="Tiny">too small</text:p>'
    '<text:p text:style-name="Boxed">on a ground</text:p>'
    '<text:p>by a field<text:hidden-paragraph text:is-hidden="true"/></text:p>'
    "<text:list><text:list-item><text:p>kept</text:p></text:list-item><text:list-item>"
    '<text:p><text:span text:style-name="Gone">listed</text:span></text:p></text:list-item></text:list>'
)
ODT_HIDDEN = ["vanished", "in a section", "white", "too small", "by a field", "listed"]


NESTED = '<text:span text:style-name="Shown"> not this </text:span>'
"""kreuzberg reads nothing of spans within spans."""


def odt(nested: str = "") -> bytes:
    common = (
        '<office:styles><style:style style:name="Base" style:family="paragraph"/></office:styles>'
    )
    return open_document("text", ODT_BODY.format(nested), ODT_STYLES, common)


def _seen(text: str) -> str:
    return " ".join(re.sub(r"[*_-]", "", text).split())


@pytest.mark.parametrize("part", ["content.xml", "styles.xml"])
def test_hidden_text_of_a_damaged_open_text_is_told(part: str) -> None:
    pages, hidden = read(changed(odt(), part, _with_a_tail), file_type.ODT)
    assert hidden[1] == ODT_HIDDEN
    assert _seen(pages[1]) == "Seen, and seen again. on a ground kept"


def ods() -> bytes:
    def row(*cells: str, hidden: str = "") -> str:
        return f"<table:table-row{hidden}>{''.join(cells)}</table:table-row>"

    def cell(text: str, more: str = "") -> str:
        kind = 'office:value-type="string"'
        return f"<table:table-cell {kind} {more}><text:p>{text}</text:p></table:table-cell>"

    covered = '<table:covered-table-cell table:number-columns-repeated="{}"/>'
    collapsed = ' table:visibility="collapse"'
    columns = (
        "<table:table-column/>"
        f'<table:table-column{collapsed} table:number-columns-repeated="2"/>'
        f"<table:table-column/>"
        f'<table:table-column{collapsed} table:number-columns-repeated="1020"/>'
    )
    wide = 'table:number-columns-spanned="3" table:number-rows-spanned="1"'
    tall = 'table:number-columns-spanned="1" table:number-rows-spanned="3"'
    first = columns + "".join(
        (
            row(cell("a1"), cell("b1", 'table:number-columns-repeated="2"'), cell("d1")),
            row(cell("a2"), cell("b2"), cell("c2"), cell("d2"), hidden=collapsed),
            row(cell("a3", wide), covered.format(2), cell("d3", tall)),
            '<table:table-row-group table:display="false">',
            row(cell("a4"), cell("b4"), cell("c4"), covered.format(1)),
            "</table:table-row-group>",
            row(cell("a5"), cell("b5", wide), covered.format(2)),
            f'<table:table-row{collapsed} table:number-rows-repeated="1048571">'
            '<table:table-cell table:number-columns-repeated="1024"/></table:table-row>',
        )
    )
    sheets = {"": first, "Off": row(cell("never"), cell("shown")), "On": row(cell("last"))}
    body = "".join(
        f'<table:table table:name="Sheet{name}" table:style-name="{name}">{inner}</table:table>'
        for name, inner in sheets.items()
    )
    styles = (
        '<style:style style:name="Off" style:family="table">'
        '<style:table-properties table:display="false"/></style:style>'
    )
    return open_document("spreadsheet", body, styles)


def _words(pages: dict[int, str]) -> list[list[str]]:
    return [re.findall(r"\w+", pages[number]) for number in sorted(pages)]


@pytest.mark.parametrize("part", ["content.xml", "styles.xml"])
def test_hidden_cells_and_sheets_of_a_damaged_open_spreadsheet_are_told(part: str) -> None:
    pages, hidden = read(changed(ods(), part, _with_a_tail), file_type.ODS)
    assert _words(pages) == [["a1", "d1", "a3", "d3", "a5", "b5"], [], ["last"]]
    assert sorted(hidden[1][0].split()) == ["a2", "a4", "b1", "b2", "b4", "c2", "c4", "d2"]
    assert hidden[2] == ["never shown"]


def test_what_is_hidden_in_sound_open_documents_is_told_likewise() -> None:
    for data, kind, family in (
        (odt(NESTED), file_type.ODT, DocumentFamily.WORD),
        (ods(), file_type.ODS, DocumentFamily.SPREADSHEET),
    ):
        document = _convert_by_docling(data, kind.media_type)
        settle_provenance(document, family)
        hidden = take_out_unseen(document)
        texts = [found.text for page in sorted(hidden) for found in hidden[page]]
        pages = {page: document_text(document, page) for page in document.pages}
        if kind is file_type.ODT:
            assert texts == ODT_HIDDEN
            assert _seen(pages[1]) == "Seen, not this and seen again. on a ground kept"
        else:
            assert texts[1:] == ["never shown"]
            assert sorted(texts[0].split()) == ["a2", "a4", "b1", "b2", "b4", "c2", "c4", "d2"]
            assert sorted(_words(pages)[0]) == ["a1", "a3", "a5", "b5", "d1", "d3"]
            assert _words(pages)[2] == ["last"]


def test_a_part_of_another_name_hides_as_much() -> None:
    """kreuzberg goes by the names of parts and of elements within them, not by their roots."""

    def renamed(content: bytes) -> bytes:
        return content.replace(b"<w:document ", b"<w:letter ").replace(
            b"</w:document>", b"</w:letter>"
        )

    pages, hidden = read(changed(letter(), "word/document.xml", renamed), file_type.DOCX)
    assert hidden == {1: ["vanished", "by style", "too small", "white"]}
    assert pages == {1: "Seen, and seen again."}


def test_a_part_that_declares_a_document_type_is_refused() -> None:
    """Entities could spell for one library what another does not see."""

    def declared(content: bytes) -> bytes:
        start = content.index(b"<w:document")
        return content[:start] + b'<!DOCTYPE w:document [<!ENTITY e "x">]>' + content[start:]

    data = changed(letter(), "word/document.xml", declared)
    with pytest.raises(DamagedDocument, match="declares a document type"):
        read_again(data, file_type.DOCX.media_type)


@pytest.mark.parametrize(
    ("kind", "made"), [(file_type.DOCX, letter), (file_type.ODT, odt), (file_type.ODS, ods)]
)
def test_a_package_that_cannot_be_unpacked_is_refused(
    kind: file_type.FileType, made: Callable[[], bytes]
) -> None:
    data = made()
    with pytest.raises(DamagedDocument):
        convert(in_memory(data[: len(data) // 2]), kind.media_type)


def test_slides_and_documents_that_no_program_shows_are_not_read() -> None:
    presentation = pptx.Presentation()
    for text in ("shown", "unlisted"):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = text
    listed = presentation.slides._sldIdLst
    listed.remove(listed[1])
    document = read_again(saved(presentation), file_type.PPTX.media_type)
    settle_provenance(document, DocumentFamily.PRESENTATION)
    hidden = take_out_unseen(document)
    assert [found.text for found in hidden[1]] == ["unlisted"]
    assert document_text(document) == "shown"

    def renamed(content: bytes) -> bytes:
        return content.replace(b"word/document.xml", b"word/another.xml")

    with pytest.raises(DamagedDocument, match="names another part"):
        read_again(changed(letter(), "_rels/.rels", renamed), file_type.DOCX.media_type)


def test_styles_of_the_letter_outweigh_those_of_its_building_blocks() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(letter())) as source, zipfile.ZipFile(made, "w") as target:
        styles = source.read("word/styles.xml")
        target.writestr("word/glossary/styles.xml", styles.replace(b"<w:vanish/>", b""))
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr("word/last/styles.xml", styles.replace(b"<w:vanish/>", b""))
    document = read_again(made.getvalue(), file_type.DOCX.media_type)
    settle_provenance(document, DocumentFamily.WORD)
    (hidden,) = take_out_unseen(document).values()
    assert "by style" in [found.text for found in hidden]
