"""Where a passage stands: pages and boxes in the frame of muniment.contracts.documents."""

from collections.abc import Sequence

from docling_core.types.doc.base import BoundingBox as DoclingBox
from docling_core.types.doc.common.reference import ProvenanceItem
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.node import DocItem
from docling_core.types.doc.items.text import TextItem

from muniment.contracts.documents import PageBox

EMU_PER_POINT = 12_700
"""English Metric Units, in which docling leaves the boxes of slides (914,400 to the inch)."""

_PRESENTATION = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Places:
    """Pages and boxes of a document's items."""

    def __init__(self, document: DoclingDocument) -> None:
        self._heights = {number: page.size.height for number, page in document.pages.items()}
        media_type = document.origin.mimetype if document.origin else ""
        self._scale = 1 / EMU_PER_POINT if media_type == _PRESENTATION else 1.0
        # Boxes of a sheet count columns and rows, which are no places on paper.
        self._has_boxes = media_type != _SPREADSHEET

    def of(
        self, items: Sequence[DocItem], text: str
    ) -> tuple[tuple[int, ...], tuple[PageBox, ...]]:
        """Pages and boxes, in reading order and each once. Items without a place are on page 1,
        the only page of formats that have none."""
        provenance = [entry for item in items for entry in _provenance_of(item, text, len(items))]
        pages = sorted({entry.page_no for entry in provenance}) or [1]
        boxes = dict.fromkeys(
            box for entry in provenance if (box := self._page_box(entry)) is not None
        )
        return tuple(pages), tuple(boxes)

    def _page_box(self, entry: ProvenanceItem) -> PageBox | None:
        height = self._heights.get(entry.page_no)
        if height is None or not self._has_boxes:
            return None
        box: DoclingBox = entry.bbox.to_top_left_origin(height)
        left, right = sorted((box.l * self._scale, box.r * self._scale))
        top, bottom = sorted((box.t * self._scale, box.b * self._scale))
        if left == right and top == bottom:
            return None
        return PageBox(page=entry.page_no, bbox=(left, top, right, bottom))


def _provenance_of(item: DocItem, text: str, item_count: int) -> Sequence[ProvenanceItem]:
    """The places of the item; of a paragraph that runs over several, and of which the passage holds
    only a part, those that the part touches."""
    if item_count > 1 or len(item.prov) < 2 or not isinstance(item, TextItem):
        return item.prov
    start = item.text.find(text)
    if start < 0:
        return item.prov
    end = start + len(text)
    touched = [
        entry for entry in item.prov if entry.charspan[0] < end and entry.charspan[1] > start
    ]
    return touched or item.prov
