"""Documents made for the tests of this folder."""

from docling_core.types.doc.base import BoundingBox, CoordOrigin, Size
from docling_core.types.doc.common.reference import ProvenanceItem
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from docling_core.types.doc.labels import DocItemLabel

LETTER = Size(width=612, height=792)
SENTENCE = "The tenant shall keep clause {n} of the lease in good repair until the term ends. "


def sentences(count: int, first: int = 0) -> str:
    return "".join(SENTENCE.format(n=number) for number in range(first, first + count)).strip()


def place(page: int, *, top: float, bottom: float, span: tuple[int, int]) -> ProvenanceItem:
    """A place in docling's own frame: points from the bottom left."""
    box = BoundingBox(l=72, t=top, r=540, b=bottom, coord_origin=CoordOrigin.BOTTOMLEFT)
    return ProvenanceItem(page_no=page, bbox=box, charspan=span)


def paged_document(pages: int) -> DoclingDocument:
    """A heading and two paragraphs on each page, and a table on every fourth."""
    document = DoclingDocument(name="lease")
    for page in range(1, pages + 1):
        document.add_page(page_no=page, size=LETTER)
        heading = f"Section {page}"
        document.add_heading(
            heading, level=1 + page % 2, prov=place(page, top=740, bottom=720, span=(0, 9))
        )
        for number in range(2):
            text = sentences(3 + number, first=10 * page)
            top = 700 - 100 * number
            span = (0, len(text))
            document.add_text(
                DocItemLabel.TEXT, text, prov=place(page, top=top, bottom=top - 80, span=span)
            )
        if page % 4 == 0:
            prov = place(page, top=300, bottom=100, span=(0, 0))
            document.add_table(table(rows=6, columns=4), prov=prov)
    return document


def table(rows: int, columns: int, words_per_cell: int = 1) -> TableData:
    cells = [
        TableCell(
            start_row_offset_idx=row,
            end_row_offset_idx=row + 1,
            start_col_offset_idx=column,
            end_col_offset_idx=column + 1,
            text=" ".join(
                f"Head{column}" if row == 0 else f"r{row}c{column}w{word}"
                for word in range(1 if row == 0 else words_per_cell)
            ),
            column_header=row == 0,
        )
        for row in range(rows)
        for column in range(columns)
    ]
    return TableData(table_cells=cells, num_rows=rows, num_cols=columns)


def plain_document(*paragraphs: str) -> DoclingDocument:
    """Text without structure or pages."""
    document = DoclingDocument(name="notes")
    for paragraph in paragraphs:
        document.add_text(DocItemLabel.TEXT, paragraph)
    return document
