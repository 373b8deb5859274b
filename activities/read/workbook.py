"""Workbooks through docling's backend: hidden rows and columns set apart, vast sheets refused."""

from bisect import bisect_left
from collections.abc import Collection, Sequence

from docling.backend.msexcel_backend import DataRegion, MsExcelDocumentBackend, _MergedCellIndex
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.table.table import TableItem
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from openpyxl.worksheet.worksheet import Worksheet

from activities.read.unseen_in_documents import add_unseen
from muniment.errors import LimitExceeded

MAXIMUM_CELLS = 4_000_000
"""The backend visits every cell between the first and the last, each of which takes some 300 bytes:
more of them would not fit an engine's 2 GiB."""


class WorkbookBackend(MsExcelDocumentBackend):
    """docling hides hidden sheets, and shows the hidden rows and columns of the others: those that
    a filter leaves out too. What would use up all memory is refused at once, with what to do about
    it: one cell in the last row and column makes a sheet of seventeen thousand millions."""

    def convert(self) -> DoclingDocument:
        document: DoclingDocument = super().convert()
        for table in document.tables:
            sheet = self._sheet_of(table)
            if sheet is not None and table.content_layer is not ContentLayer.INVISIBLE:
                _take_out_hidden(document, table, sheet)
        return document

    def _find_true_data_bounds(
        self, sheet: Worksheet, merged_cell_index: _MergedCellIndex
    ) -> DataRegion:
        bounds = super()._find_true_data_bounds(sheet, merged_cell_index)
        cells = bounds.width() * bounds.height()
        if cells > MAXIMUM_CELLS:
            raise LimitExceeded(
                f"A sheet spans {cells:,} cells; the limit is {MAXIMUM_CELLS:,}.",
                remedy="Delete stray cells far from the table, or split the sheet.",
            )
        return bounds

    def _sheet_of(self, table: TableItem) -> Worksheet | None:
        if self.workbook is None or not table.prov:
            return None
        sheet = self.workbook[self.workbook.sheetnames[table.prov[0].page_no - 1]]
        return sheet if isinstance(sheet, Worksheet) else None


def _take_out_hidden(document: DoclingDocument, table: TableItem, sheet: Worksheet) -> None:
    """The table's box tells, from 0, in which row and column of the sheet it begins."""
    place = table.prov[0]
    top, left = round(place.bbox.t), round(place.bbox.l)
    rows = {
        number - 1 - top
        for number, dimension in sheet.row_dimensions.items()
        if dimension.hidden and 0 <= number - 1 - top < table.data.num_rows
    }
    columns = {number - left for number in _hidden_columns(sheet, left, left + table.data.num_cols)}
    if not rows and not columns:
        return
    if len(rows) == table.data.num_rows or len(columns) == table.data.num_cols:
        table.content_layer = ContentLayer.INVISIBLE
        return
    kept, hidden = _parted(table.data.table_cells, rows, columns)
    table.data = TableData(
        table_cells=kept,
        num_rows=table.data.num_rows - len(rows),
        num_cols=table.data.num_cols - len(columns),
    )
    add_unseen(document, [" ".join(hidden)] if hidden else [], page=place.page_no)


def _hidden_columns(sheet: Worksheet, first: int, end: int) -> set[int]:
    """From 0, of those from `first` on and before `end`; a dimension may stand for several."""
    return {
        number
        for dimension in sheet.column_dimensions.values()
        if dimension.hidden and dimension.min and dimension.max
        for number in range(max(first, dimension.min - 1), min(end, dimension.max))
    }


def _parted(
    cells: Collection[TableCell], rows: Collection[int], columns: Collection[int]
) -> tuple[list[TableCell], list[str]]:
    """The cells that are seen, moved together, and the texts of the others."""
    hidden_rows, hidden_columns = sorted(rows), sorted(columns)
    kept, hidden = [], []
    for cell in cells:
        top, bottom = (_before(end, hidden_rows) for end in _rows_of(cell))
        left, right = (_before(end, hidden_columns) for end in _columns_of(cell))
        if top == bottom or left == right:
            if cell.text.strip():
                hidden.append(" ".join(cell.text.split()))
            continue
        moved = {
            "start_row_offset_idx": top,
            "end_row_offset_idx": bottom,
            "start_col_offset_idx": left,
            "end_col_offset_idx": right,
            "row_span": bottom - top,
            "col_span": right - left,
        }
        kept.append(cell.model_copy(update=moved))
    return kept, hidden


def _rows_of(cell: TableCell) -> tuple[int, int]:
    return cell.start_row_offset_idx, cell.end_row_offset_idx


def _columns_of(cell: TableCell) -> tuple[int, int]:
    return cell.start_col_offset_idx, cell.end_col_offset_idx


def _before(end: int, hidden: Sequence[int]) -> int:
    """How many that are seen stand before it; the hidden ones are given in order."""
    return end - bisect_left(hidden, end)
