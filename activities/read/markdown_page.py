"""Markdown through docling's backend, and what the HTML in it hides set apart."""

import re
from io import BytesIO

from bs4 import BeautifulSoup
from docling.backend.html_backend import HTMLDocumentBackend
from docling.backend.md_backend import MarkdownDocumentBackend
from docling.datamodel.backend_options import HTMLBackendOptions
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc.document import DoclingDocument
from marko import Markdown
from marko.ext.gfm import elements
from marko.ext.gfm.renderer import GFMRendererMixin
from marko.helpers import MarkoExtension

from activities.read.html_depth import refuse_deep_html
from activities.read.unseen_in_documents import add_unseen
from activities.read.unseen_in_pages import take_out_unseen_text

_TAG = re.compile(r"<[a-zA-Z]")
_MAY_HIDE = re.compile(r"style|hidden|color|background", re.IGNORECASE)
"""One of these is in whatever hides a text."""
_NEVER = re.compile(r"(?!)()()")
"""With the groups that the renderer puts back."""


class _WithAllTags(GFMRendererMixin):
    """GitHub takes some tags out, style sheets among them; here what they do has to be seen."""

    tagfilter = _NEVER
    tagfilter_no_open = _NEVER


_TO_HTML = MarkoExtension(
    elements=[
        elements.Paragraph,
        elements.Strikethrough,
        elements.Url,
        elements.Table,
        elements.TableRow,
        elements.TableCell,
    ],
    renderer_mixins=[_WithAllTags],
)


class MarkdownPageBackend(MarkdownDocumentBackend):
    """docling reads what tags within a paragraph hide, and drops without a word some of what blocks
    of HTML do. A text of which something is hidden is read as the page that it makes."""

    def convert(self) -> DoclingDocument:
        page, texts = _page_without_unseen(self.markdown)
        if page is None:
            document: DoclingDocument = super().convert()
            return document
        document = _by_html(page)
        add_unseen(document, texts)
        return document


def _page_without_unseen(markdown: str) -> tuple[str | None, list[str]]:
    """The page without what nobody sees of it, and that; no page where nothing is hidden."""
    if _TAG.search(markdown) is None or _MAY_HIDE.search(markdown) is None:
        return None, []
    html = Markdown(extensions=[_TO_HTML]).convert(markdown)
    refuse_deep_html(html)
    page = BeautifulSoup(html, "html.parser")
    texts = take_out_unseen_text(page)
    return (str(page), texts) if texts else (None, [])


def _by_html(page: str) -> DoclingDocument:
    data = page.encode("utf-8", "replace")
    source = InputDocument(
        path_or_stream=BytesIO(data),
        format=InputFormat.HTML,
        backend=HTMLDocumentBackend,
        filename="document.html",
    )
    options = HTMLBackendOptions(infer_furniture=False, add_title=False)
    document: DoclingDocument = HTMLDocumentBackend(source, BytesIO(data), options).convert()
    return document
