"""Word and PowerPoint 97–2003 and OpenDocument presentations keep their structure."""

from pathlib import Path

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.text import ListItem, SectionHeaderItem, TitleItem

from activities.assemble.export import document_text
from activities.inspect import file_type
from activities.read.structured import convert
from tests.activities.made_documents import in_memory


def read(path: Path, kind: file_type.FileType) -> DoclingDocument:
    return convert(in_memory(path.read_bytes()), kind.media_type)


def test_a_word_document_keeps_headings_lists_and_tables(shared_data: Path) -> None:
    document = read(shared_data / "documents/office-legacy/legacy_sample.doc", file_type.DOC)
    headings = {item.text: item.level for item in document.texts if type(item) is SectionHeaderItem}
    assert headings == {"Let’s swim!": 1, "Let’s eat": 2}
    items = [item for item in document.texts if isinstance(item, ListItem)]
    assert [(item.marker, item.text) for item in items[2:5]] == [
        ("-", "Enjoy summer warmth"),
        ("1.", "Wear sunglasses"),
        ("2.", "Don’t forget to drink water"),
    ]
    (table,) = document.tables
    assert (table.data.num_rows, table.data.num_cols) == (4, 3)
    assert [cell.text for cell in table.data.grid[2]][1:] == [
        "Blueberry, Strawberry, Cranberry",
        "150",
    ]
    assert "SEQ Figure" not in document_text(document)


def test_a_presentation_keeps_titles_and_lists_and_has_its_notes_apart(shared_data: Path) -> None:
    document = read(shared_data / "documents/office-legacy/legacy_sample.ppt", file_type.PPT)
    titles = [item.text for item in document.texts if isinstance(item, TitleItem)]
    assert titles == ["Test Table Slide", "Second slide title"]
    items = [item.text for item in document.texts if isinstance(item, ListItem)]
    assert items[:3] == ["With foo", "Bar", "And baz things"]
    notes = [item.text for item in document.texts if item.content_layer is ContentLayer.NOTES]
    assert notes[0] == "Some notes on the second slide."
    assert "Click to edit" not in document_text(document)


def test_slides_of_an_open_presentation_are_its_pages(shared_data: Path) -> None:
    document = read(shared_data / "documents/odf/odf_presentation_01.odp", file_type.ODP)
    assert sorted(document.pages) == [1, 2, 3]
    assert "With footnote" in document_text(document, 1)
    assert "Some notes on the second slide." in document_text(document, 2)
    assert "List item5" in document_text(document, 3)
    assert "List item5" not in document_text(document, 1)
