"""Characters that take no room reach neither text nor tables of structured documents."""

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from docling_core.types.doc.labels import DocItemLabel

from activities.assemble.export import document_text
from activities.read.provenance import settle_provenance
from activities.read.unseen_in_documents import take_out_unseen
from muniment.contracts.documents import DocumentFamily, HiddenKind

TOLD = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")


def test_unseen_characters_are_taken_out_and_told() -> None:
    document = DoclingDocument(name="document")
    document.add_text(label=DocItemLabel.TEXT, text=f"wa{TOLD}x and exam\u200bple")
    cell = TableCell(
        text=f"seal\u202e{TOLD}",
        start_row_offset_idx=0,
        end_row_offset_idx=1,
        start_col_offset_idx=0,
        end_col_offset_idx=1,
    )
    document.add_table(data=TableData(num_rows=1, num_cols=1, table_cells=[cell]))
    settle_provenance(document, DocumentFamily.TEXT)
    hidden = take_out_unseen(document)
    assert document_text(document, 1) == "wax and example\nseal"
    assert [(found.kind, found.text) for found in hidden[1]] == [
        (HiddenKind.UNSEEN_CHARACTERS, "obey"),
        (HiddenKind.UNSEEN_CHARACTERS, "<U+202E>obey"),
    ]
