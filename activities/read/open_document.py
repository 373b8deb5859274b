"""OpenDocument texts and spreadsheets through docling's backends, with what is hidden set apart."""

from typing import Any

from docling.backend.opendocument_backend import OdsDocumentBackend, OdtDocumentBackend
from docling_core.types.doc.document import DoclingDocument
from docling_core.utils.settings import settings
from lxml import etree
from odfdo import Document, Table

from activities.read.office_package import attribute
from activities.read.unseen_in_documents import add_unseen
from activities.read.unseen_in_open_sheets import take_out_unseen_open_sheets
from activities.read.unseen_in_open_text import STYLES, take_out_unseen_open_text
from muniment.errors import DamagedDocument, LimitExceeded

_CELLS_READ_BY_DOCLING = 100_000
"""docling takes a third of a millisecond for a cell, kreuzberg a microsecond; docling keeps merged
cells, pictures and tables that stand apart on a sheet."""


class OpenTextBackend(OdtDocumentBackend):
    """docling heeds hidden sections, and no style that hides."""

    def convert(self) -> DoclingDocument:
        texts = take_out_unseen_open_text(*_roots(self.odf_obj))
        document: DoclingDocument = super().convert()
        add_unseen(document, texts)
        return document


class OpenSheetsBackend(OdsDocumentBackend):
    """docling shows hidden rows and columns, and sheets that a style hides, and visits every cell as
    often as it is said to be repeated: seventeen thousand millions of a sheet in two kilobytes."""

    def convert(self) -> DoclingDocument:
        texts = take_out_unseen_open_sheets(*_roots(self.odf_obj))
        document: DoclingDocument = super().convert()
        for text in texts:
            add_unseen(document, [text.text], page=text.page)
        return document

    def _find_data_tables_in_sheet(self, table: Table) -> list[dict[str, Any]]:
        """The sheet's tables; what pads it at its end is gone by now. DamagedDocument, so that the
        second reader takes it, when it is too long for this one; LimitExceeded for both."""
        cells = _spanned_cells(table._xml_element)
        if cells > settings.max_table_cells:
            raise LimitExceeded(
                f"A sheet spans {cells:,} cells; the limit is {settings.max_table_cells:,}.",
                remedy="Delete stray cells far from the table, or split the sheet.",
            )
        if cells > _CELLS_READ_BY_DOCLING:
            raise DamagedDocument("A sheet has too many cells for this reader.")
        tables: list[dict[str, Any]] = super()._find_data_tables_in_sheet(table)
        return tables


def _spanned_cells(table: etree._Element) -> int:
    return sum(
        _repeated(row, "number-rows-repeated")
        # A row that has no cells left is visited as often all the same.
        * max(1, sum(_repeated(cell, "number-columns-repeated") for cell in row))
        for row in table.iter("{*}table-row")
    )


def _repeated(element: etree._Element, name: str) -> int:
    given = attribute(element, name)
    return int(given) if given.isdecimal() else 1


def _roots(document: Document) -> tuple[etree._Element, etree._Element | None]:
    """The trees that the backend reads; they may be changed."""
    container = document.container
    has_styles = container is not None and STYLES in container.get_parts()
    styles = document.styles.root._xml_element if has_styles else None
    return document.content.root._xml_element, styles
