"""Excel workbooks through docling's backend, which visits every cell between the first and the last."""

from docling.backend.msexcel_backend import DataRegion, MsExcelDocumentBackend, _MergedCellIndex
from openpyxl.worksheet.worksheet import Worksheet

from muniment.errors import LimitExceeded

MAXIMUM_CELLS = 4_000_000
"""Every cell that is visited takes some 300 bytes: more of them would not fit an engine's 2 GiB."""


class WorkbookBackend(MsExcelDocumentBackend):
    """Refuses at once, with what to do about it, what would else use up all memory: one cell in the
    last row and column makes a sheet of seventeen thousand millions."""

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
