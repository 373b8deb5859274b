"""OpenDocument texts and spreadsheets through docling's backends, with what is hidden set apart."""

from docling.backend.opendocument_backend import OdsDocumentBackend, OdtDocumentBackend
from docling_core.types.doc.document import DoclingDocument
from lxml import etree
from odfdo import Document

from activities.read.unseen_in_documents import add_unseen
from activities.read.unseen_in_open_sheets import take_out_unseen_open_sheets
from activities.read.unseen_in_open_text import STYLES, take_out_unseen_open_text


class OpenTextBackend(OdtDocumentBackend):
    """docling heeds hidden sections, and no style that hides."""

    def convert(self) -> DoclingDocument:
        texts = take_out_unseen_open_text(*_roots(self.odf_obj))
        document: DoclingDocument = super().convert()
        add_unseen(document, texts)
        return document


class OpenSheetsBackend(OdsDocumentBackend):
    """docling shows hidden rows and columns, and sheets that a style hides."""

    def convert(self) -> DoclingDocument:
        texts = take_out_unseen_open_sheets(*_roots(self.odf_obj))
        document: DoclingDocument = super().convert()
        for text in texts:
            add_unseen(document, [text.text], page=text.page)
        return document


def _roots(document: Document) -> tuple[etree._Element, etree._Element | None]:
    """The trees that the backend reads; they may be changed."""
    container = document.container
    has_styles = container is not None and STYLES in container.get_parts()
    styles = document.styles.root._xml_element if has_styles else None
    return document.content.root._xml_element, styles
