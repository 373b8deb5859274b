"""Web pages through docling's backend, with what their own styles hide set apart."""

import re

from bs4 import Tag
from docling.backend.html_backend import HTMLDocumentBackend
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

_NO_SIZE = re.compile(r"(?:^|;)font-size:0(?:\.0+)?(?:[a-z]+|%)?(?:!important)?(?:;|$)")
_SIZED = re.compile(r"(?:^|;)font-size:")


class WebPageBackend(HTMLDocumentBackend):
    """docling leaves out what `hidden` marks and shows text of no size. Styles of elements are
    heeded, those of sheets and classes are not."""

    def convert(self) -> DoclingDocument:
        texts = [] if self.soup is None else _taken_out(self.soup)
        document: DoclingDocument = super().convert()
        for text in texts:
            document.add_text(
                label=DocItemLabel.TEXT, text=text, content_layer=ContentLayer.INVISIBLE
            )
        return document


def _taken_out(page: Tag) -> list[str]:
    texts = []
    for tag in page.find_all(style=True):
        if tag.decomposed or not _NO_SIZE.search(_style(tag)):
            continue
        # Grids were once laid out in a parent without size, whose children have one again.
        if any(_SIZED.search(_style(inner)) for inner in tag.find_all(style=True)):
            continue
        texts.append(" ".join(tag.get_text(" ").split()))
        tag.decompose()
    return [text for text in texts if text]


def _style(tag: Tag) -> str:
    return "".join(str(tag.get("style") or "").lower().split())
