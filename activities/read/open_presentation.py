"""OpenDocument presentations through docling's backend, each slide a page."""

import re

from docling.backend.opendocument_backend import OdpDocumentBackend
from docling_core.types.doc.base import Size
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.node import DocItem
from docling_core.types.doc.labels import GroupLabel

from activities.read.provenance import place_nowhere

_SLIDE = re.compile(r"slide-(\d+)")
"""How the backend names a slide's group, counted from 0."""


class OpenPresentationBackend(OdpDocumentBackend):
    """docling puts all slides on no page."""

    def convert(self) -> DoclingDocument:
        document: DoclingDocument = super().convert()
        for group in document.groups:
            named = _SLIDE.fullmatch(group.name)
            if group.label is not GroupLabel.CHAPTER or named is None:
                continue
            number = int(named[1]) + 1
            document.add_page(page_no=number, size=Size(width=0, height=0))
            inside = document.iterate_items(group, included_content_layers=set(ContentLayer))
            for item, _ in inside:
                if isinstance(item, DocItem):
                    item.prov = [place_nowhere(number, len(getattr(item, "text", "")))]
        return document
