"""OpenDocument texts and spreadsheets: what stands in them, in its order and as what it is."""

from io import BytesIO

import pytest
from odfdo import Cell, Document, Header, List, Paragraph, Row, Table

from activities.inspect import file_type
from activities.read.structured import convert
from muniment.errors import LimitExceeded
from tests.activities.made_documents import in_memory, inspected
from tests.activities.read.test_read_engines import read


def saved(document: Document) -> bytes:
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def table(name: str, rows: list[list[str | int]]) -> Table:
    made = Table(name)
    for values in rows:
        row = Row()
        for value in values:
            row.append_cell(Cell(value, text=str(value)))
        made.append_row(row)
    return made


def letter() -> bytes:
    document = Document("text")
    document.body.clear()
    document.body.append(Header(1, "Rules of the archive"))
    document.body.append(Paragraph("Every deed is kept in the muniment room."))
    document.body.append(Header(2, "Schlüssel"))
    document.body.append(List(["The door key", "The chest key"]))
    document.body.append(table("Leases", [["Lease", "Rent"], ["Mill", 42]]))
    document.body.append(Paragraph("Sealed for ever."))
    return saved(document)


def ledger() -> bytes:
    document = Document("spreadsheet")
    document.body.clear()
    document.body.append(table("Rents", [["Lease", "Rent"], ["Mühle", 42], ["Weir", 7]]))
    document.body.append(table("Seals", [["only here"]]))
    return saved(document)


def test_an_open_text_keeps_headings_lists_and_tables() -> None:
    plan = inspected(letter(), "unnamed")
    assert (plan.media_type, plan.page_count) == (file_type.ODT.media_type, 1)
    document = convert(in_memory(letter()), plan.media_type)
    labels = {item.text: item.label.value for item in document.texts}
    assert labels["Rules of the archive"] in ("title", "section_header")
    assert labels["Schlüssel"] == "section_header"
    assert labels["The chest key"] == "list_item"
    (found,) = document.tables
    assert [[cell.text for cell in row] for row in found.data.grid] == [
        ["Lease", "Rent"],
        ["Mill", "42"],
    ]


def test_an_open_text_is_read_in_its_order() -> None:
    (page,) = read(letter(), "a.odt")
    assert page.text.splitlines() == [
        "Rules of the archive",
        "Every deed is kept in the muniment room.",
        "Schlüssel",
        "The door key",
        "The chest key",
        "Lease\tRent",
        "Mill\t42",
        "Sealed for ever.",
    ]


def test_sheets_of_an_open_spreadsheet_are_pages() -> None:
    plan = inspected(ledger(), "unnamed")
    assert (plan.media_type, plan.page_count) == (file_type.ODS.media_type, 2)
    first, second = read(ledger(), "a.ods")
    assert first.text.splitlines()[-3:] == ["Lease\tRent", "Mühle\t42", "Weir\t7"]
    assert second.text.splitlines()[-1] == "only here"


def sheet_of(rows: int, columns: int, repeated: int = 1) -> bytes:
    document = Document("spreadsheet")
    document.body.clear()
    made = Table("Rolls")
    for number in range(rows):
        row = Row(repeated=repeated if repeated > 1 else None)
        for column in range(columns):
            row.append_cell(Cell(f"{number}.{column}", text=f"{number}.{column}"))
        made.append_row(row)
    document.body.append(made)
    return saved(document)


def test_a_sheet_too_long_for_docling_is_read_by_the_second_reader() -> None:
    document = convert(in_memory(sheet_of(50, 20, repeated=110)), file_type.ODS.media_type)
    (found,) = document.tables
    assert (found.data.num_rows, found.data.num_cols) == (5_500, 20)
    assert found.data.grid[5_499][19].text == "49.19"


def test_a_stray_cell_below_a_million_empty_rows_is_not_waited_for() -> None:
    document = Document("spreadsheet")
    document.body.clear()
    made = Table("Rolls")
    for text, repeated in (("first", None), ("", 1_048_573), ("stray", None)):
        row = Row(repeated=repeated)
        row.append_cell(Cell(text or None, text=text))
        made.append_row(row)
    document.body.append(made)
    with pytest.raises(LimitExceeded, match="spans 1,048,575 cells"):
        convert(in_memory(saved(document)), file_type.ODS.media_type)


def test_a_sheet_that_repeats_its_cells_without_end_is_refused_at_once() -> None:
    bomb = sheet_of(2, 2, repeated=1_048_576 * 16_384)
    with pytest.raises(LimitExceeded, match="spans 68,719,476,736 cells") as refused:
        convert(in_memory(bomb), file_type.ODS.media_type)
    assert "split the sheet" in str(refused.value.remedy)
