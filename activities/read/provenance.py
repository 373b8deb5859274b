"""Gives every item of a backend's document a page, in the frame that all documents share.

After this every item stands on a page; a page of size 0 × 0 has no places, and the boxes on it are
all zero.
"""

from docling_core.types.doc.base import BoundingBox, CoordOrigin, Size
from docling_core.types.doc.common.reference import ProvenanceItem
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.node import DocItem
from docling_core.types.doc.items.picture.picture import PictureItem
from docling_core.types.doc.items.text import TextItem

from muniment.contracts.documents import DocumentFamily

EMU_PER_POINT = 12_700
"""English Metric Units, in which presentations are measured (ECMA-376, part 1, 20.1.2.1)."""
_LARGEST_SLIDE_POINTS = 56 * 72 * 2
NOWHERE = BoundingBox(l=0, t=0, r=0, b=0, coord_origin=CoordOrigin.TOPLEFT)


def settle_provenance(document: DoclingDocument, family: DocumentFamily) -> None:
    """Changes the document in place; embedded pictures are dropped, their places kept."""
    has_places = family is DocumentFamily.PRESENTATION
    if not document.pages:
        document.add_page(page_no=1, size=Size(width=0, height=0))
    first_page = min(document.pages)
    heights: dict[int, float] = {}
    for number, page in document.pages.items():
        scale = _points_per_unit(page.size.width)
        heights[number] = page.size.height * scale
        page.size = (
            Size(width=page.size.width * scale, height=heights[number])
            if has_places
            else Size(width=0, height=0)
        )
        page.image = None
    for item in _items(document):
        if isinstance(item, PictureItem):
            item.image = None
        if not item.prov:
            length = len(item.text) if isinstance(item, TextItem) else 0
            item.prov = [place_nowhere(first_page, length)]
        for place in item.prov:
            place.bbox = (
                _in_points(place.bbox, heights.get(place.page_no, 0.0)) if has_places else NOWHERE
            )


def place_nowhere(page: int, length: int) -> ProvenanceItem:
    """A text of that length, somewhere on the page."""
    return ProvenanceItem(page_no=page, bbox=NOWHERE, charspan=(0, length))


def _items(document: DoclingDocument) -> list[DocItem]:
    return [
        *document.texts,
        *document.tables,
        *document.pictures,
        *document.key_value_items,
        *document.form_items,
    ]


def _points_per_unit(width: float) -> float:
    return 1 / EMU_PER_POINT if width > _LARGEST_SLIDE_POINTS else 1.0


def _in_points(box: BoundingBox, page_height: float) -> BoundingBox:
    scale = _points_per_unit(max(abs(box.r), abs(box.b), abs(box.t)))
    return BoundingBox(
        l=box.l * scale,
        t=box.t * scale,
        r=box.r * scale,
        b=box.b * scale,
        coord_origin=box.coord_origin,
    ).to_top_left_origin(page_height)
