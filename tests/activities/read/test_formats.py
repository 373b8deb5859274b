"""Formats beside PDF, images and present-day office files: recognised by content, read whole."""

import zipfile
from io import BytesIO
from pathlib import Path

import duckdb
import pytest
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.code import CodeItem

from activities.assemble.export import document_text
from activities.inspect import file_type
from activities.inspect.detection import detect
from activities.read.encrypted_office import unlocked
from activities.read.source_code import PASSAGE_CHARACTERS
from activities.read.structured import convert
from muniment.errors import DamagedDocument, DocumentError, EncryptedDocument, UnknownFormat
from tests.activities.made_documents import in_memory, inspected

RICH_TEXT = (
    rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset238 Arial CE;}}"
    rb"\f0 First line\par\f1\'c8l\'e1nek\par\u-10179?\u-8704?\par"
    rb"\trowd\cellx1000\cellx2000\intbl Name\cell Sum\cell\row"
    rb"\trowd\cellx1000\cellx2000\intbl Lease\cell 42\cell\row}"
)
FUNCTION = (
    "def function_{0}(argument):\n    '''What it does.'''\n" + "    value = argument + 1\n" * 12
)
PYTHON = "import os\n\n" + "\n\n".join(
    f"# comment {number}\n" + FUNCTION.format(number) for number in range(9)
)


def read(data: bytes, name: str) -> DoclingDocument:
    return convert(in_memory(data), inspected(data, name).media_type)


def text_of(data: bytes, name: str) -> str:
    return document_text(read(data, name))


def test_rich_text_keeps_code_pages_halves_and_tables() -> None:
    document = read(RICH_TEXT, "a.rtf")
    assert [item.text for item in document.texts] == ["First line", "Článek", "😀"]
    assert [cell.text for cell in document.tables[0].data.table_cells] == [
        "Name",
        "Sum",
        "Lease",
        "42",
    ]


def test_rich_text_keeps_its_notes() -> None:
    note = rb"{\footnote\pard\plain See the second charter of the abbey, folio nine.}"
    data = rb"{\rtf1\ansi\deff0{\fonttbl{\f0 Times;}}\pard A lease was sealed." + note + rb"\par}"
    text = text_of(data, "a.rtf")
    assert "A lease was sealed." in text
    assert "second charter of the abbey" in text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_message_stored_as_utf_16_is_read(encoding: str) -> None:
    message = "From: a@example.org\nTo: b@example.org\nSubject: Lease\n\nThe lease is sealed.\n"
    text = text_of(message.encode(encoding), "a.eml")
    assert "Lease" in text
    assert "The lease is sealed." in text


def test_a_workbook_of_the_strict_kind_is_read() -> None:
    namespace = "http://purl.oclc.org/ooxml/spreadsheetml/main"
    related = "http://purl.oclc.org/ooxml/officeDocument/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    relation = f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{office}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{office}.worksheet+xml"/>'
        "</Types>",
        "_rels/.rels": f'{relation}Type="{related}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{namespace}" xmlns:r="{related}" conformance="strict">'
        '<sheets><sheet name="Rents" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{relation}Type="{related}/worksheet"'
        ' Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{namespace}"><sheetData><row r="1">'
        '<c r="A1" t="inlineStr"><is><t>Mill</t></is></c><c r="B1"><v>42</v></c></row>'
        "</sheetData></worksheet>",
    }
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    (table,) = read(file.getvalue(), "a.xlsx").tables
    assert [cell.text for cell in table.data.table_cells] == ["Mill", "42"]


def test_a_parquet_table_is_read_in_bounds(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    rows = duckdb.sql("SELECT i AS number, 'clause ' || i AS words FROM range(5000) t(i)")
    rows.write_parquet(str(file))
    document = read(file.read_bytes(), "unnamed")
    assert document.texts[0].text == "The first 2,000 of 5,000 rows and 2 of 2 columns."
    assert document.tables[0].data.num_rows == 2001
    assert document.tables[0].data.grid[1][1].text == "clause 0"
    with pytest.raises(DamagedDocument):
        read(file.read_bytes()[:300], "a.parquet")


def test_a_wide_parquet_table_says_what_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    columns = ", ".join(f"i + {number} AS column_{number}" for number in range(205))
    rows = duckdb.sql(f"SELECT {columns} FROM range(3) t(i)")  # noqa: S608 # made of numbers
    rows.write_parquet(str(file))
    document = read(file.read_bytes(), "a.parquet")
    assert document.texts[0].text == "The first 3 of 3 rows and 200 of 205 columns."
    assert document.tables[0].data.num_cols == 200


def test_a_small_parquet_table_needs_no_such_sentence(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    duckdb.sql("SELECT i AS number FROM range(2000) t(i)").write_parquet(str(file))
    document = read(file.read_bytes(), "a.parquet")
    assert not document.texts
    assert document.tables[0].data.num_rows == 2001


@pytest.mark.parametrize("name", ["a.py", "unnamed"])
def test_source_code_is_cut_between_definitions(name: str) -> None:
    document = read(PYTHON.encode(), name)
    passages = [item.text for item in document.texts if isinstance(item, CodeItem)]
    assert len(passages) > 3
    assert all(len(passage) <= PASSAGE_CHARACTERS for passage in passages)
    assert all(passage.startswith(("import", "# comment")) for passage in passages)
    assert "".join("".join(passages).split()) == "".join(PYTHON.split())


@pytest.mark.parametrize(
    ("path", "kind", "pages", "phrase"),
    [
        ("office-legacy/legacy_sample.doc", file_type.DOC, 1, "Enjoy summer warmth"),
        ("office-legacy/legacy_sample.ppt", file_type.PPT, 1, "Second slide title"),
        ("more/tika-testEXCEL_headers_footers.xls", file_type.XLS, 3, "4 Corporate HQ"),
        ("more/tika-testEXCEL_WORKBOOK_in_capitals.xls", file_type.XLS, 1, "Aktien Global"),
        ("email/testMSG_chinese.msg", file_type.MSG, 1, "MSG 格式測試"),
        ("epub/wasteland.epub", file_type.EPUB, 1, "April is the cruellest month"),
        ("rtf/testRTFWord2010CzechCharacters.rtf", file_type.RTF, 1, "poblíž Mrtvého moře"),
    ],
)
def test_what_the_content_is_decides(
    shared_data: Path, path: str, kind: file_type.FileType, pages: int, phrase: str
) -> None:
    data = (shared_data / "documents" / path).read_bytes()
    plan = inspected(data, "unnamed")
    assert (plan.media_type, plan.page_count) == (kind.media_type, pages)
    assert phrase in text_of(data, "unnamed")


def test_a_book_keeps_its_headings(shared_data: Path) -> None:
    document = read((shared_data / "documents/epub/testEPUB.epub").read_bytes(), "a.epub")
    headings = {item.text for item in document.texts if item.label.value == "section_header"}
    assert "Subchapter 2.1" in headings
    assert len(document.tables) == 1


def test_an_old_name_may_hold_what_programs_write_under_it() -> None:
    assert inspected(RICH_TEXT, "letter.doc").media_type == file_type.RTF.media_type
    table = b"<html><body><table><tr><td>a</td></tr></table></body></html>" * 3
    assert inspected(table, "report.xls").media_type == file_type.HTML.media_type


def test_word_95_is_refused_by_name(shared_data: Path) -> None:
    data = (shared_data / "documents/office-legacy/testWORD6.doc").read_bytes()
    with pytest.raises(UnknownFormat, match="Word 6 or 95"):
        inspected(data, "a.doc")


def test_what_one_library_stumbles_over_another_reads(shared_data: Path) -> None:
    """The file has comments in its XML, at which docling's backend ends."""
    data = (shared_data / "documents/more/unstructured-contains-pictures.docx").read_bytes()
    assert len(text_of(data, "a.docx").split()) > 20


@pytest.mark.parametrize("name", ["a.doc", "a.xls", "a.ppt", "a.msg", "a.epub", "a.parquet"])
def test_cut_files_are_refused(shared_data: Path, name: str) -> None:
    extension = name.rpartition(".")[2]
    if extension == "parquet":
        data = b"PAR1" + bytes(200)
    else:
        found = sorted((shared_data / "documents").rglob(f"*.{extension}"))
        data = max((path.read_bytes() for path in found), key=len)[:2000]
    with pytest.raises(DocumentError) as raised:
        read(data, name)
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("testEXCEL_protected_passtika.xlsx", "tika"),
        ("testWORD_protected_passtika.docx", "tika"),
    ],
)
def test_encrypted_office_documents_open_with_their_password(
    shared_data: Path, name: str, password: str
) -> None:
    content = in_memory((shared_data / "documents" / "office-encrypted" / name).read_bytes())
    with pytest.raises(EncryptedDocument, match="needs a password"):
        unlocked(content, None)
    with pytest.raises(EncryptedDocument, match="does not open"):
        unlocked(content, "not the password")
    opened = unlocked(content, password)
    assert opened.head(2) == b"PK"
    kind = detect(opened, name=name, declared_media_type="")
    assert document_text(convert(opened, kind.media_type)).strip()
