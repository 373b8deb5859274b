"""Messages through docling's backend, with what the styles of their text hide set apart."""

from bs4 import BeautifulSoup
from docling.backend.email_backend import EmailDocumentBackend
from docling_core.types.doc.document import DoclingDocument

from activities.read.html_depth import refuse_deep_html
from activities.read.unseen_in_documents import add_unseen
from activities.read.unseen_in_pages import take_out_unseen_text


class MailMessageBackend(EmailDocumentBackend):
    """docling heeds few styles, and says nothing of what it leaves out."""

    def convert(self) -> DoclingDocument:
        self._unseen: list[str] = []
        document: DoclingDocument = super().convert()
        add_unseen(document, self._unseen)
        return document

    def _convert_html_part(self, html: str) -> DoclingDocument:
        refuse_deep_html(html)
        page = BeautifulSoup(html, "html.parser")
        texts = take_out_unseen_text(page)
        self._unseen += texts
        document: DoclingDocument = super()._convert_html_part(str(page) if texts else html)
        return document
