"""Tables of a document out of plain rows of cells."""

from collections.abc import Sequence

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.node import NodeItem
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from docling_core.utils.settings import settings

from activities.read.damage import too_large_table
from activities.read.provenance import place_nowhere


def add_table(
    document: DoclingDocument,
    rows: Sequence[Sequence[str]],
    *,
    page: int | None = None,
    parent: NodeItem | None = None,
) -> None:
    """A table whose first row is its header; nothing where no cell holds a word.

    Rows may differ in length; `page` must exist in the document. Raises LimitExceeded.
    """
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return
    width = max(len(row) for row in rows)
    if len(rows) * width > settings.max_table_cells:
        # Before its cells use up all memory.
        raise too_large_table()
    cells = [
        TableCell(
            text=" ".join(text.split()),
            start_row_offset_idx=row,
            end_row_offset_idx=row + 1,
            start_col_offset_idx=column,
            end_col_offset_idx=column + 1,
            column_header=row == 0,
        )
        for row, texts in enumerate(rows)
        for column, text in enumerate(texts)
    ]
    document.add_table(
        data=TableData(table_cells=cells, num_rows=len(rows), num_cols=width),
        prov=place_nowhere(page, 0) if page is not None else None,
        parent=parent,
    )
