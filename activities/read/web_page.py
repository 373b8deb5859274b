"""Web pages through docling's backend, with what their own styles hide set apart."""

from docling.backend.html_backend import HTMLDocumentBackend
from docling_core.types.doc.document import DoclingDocument

from activities.read.unseen_in_documents import add_unseen
from activities.read.unseen_in_pages import take_out_unseen_text


class WebPageBackend(HTMLDocumentBackend):
    """docling heeds few styles, and says nothing of what it leaves out."""

    def convert(self) -> DoclingDocument:
        texts = [] if self.soup is None else take_out_unseen_text(self.soup)
        document: DoclingDocument = super().convert()
        add_unseen(document, texts)
        return document
