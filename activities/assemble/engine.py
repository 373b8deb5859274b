"""The engine `assemble`: one DoclingDocument out of the pages that were read."""

from docling_core.types.doc.base import BoundingBox, CoordOrigin, Size
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.common.origin import DocumentOrigin
from docling_core.types.doc.common.reference import ProvenanceItem
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.group import ListGroup
from docling_core.types.doc.labels import DocItemLabel

from activities.assemble.blocks import Block, Label, make_blocks, text_of, vocabulary
from activities.assemble.calls import AssembledDocument, AssembleRequest
from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.documents import Page


@engine("assemble")
def assemble(request: AssembleRequest, _context: EngineContext) -> AssembledDocument:
    """A structured format's own document is kept; pages of PDFs and images are put in order."""
    made = next((batch.document for batch in request.batches if batch.document), None)
    if made is not None:
        document = DoclingDocument.model_validate_json(made)
    else:
        pages = {page.page: page for batch in request.batches for page in batch.pages}
        document = _from_pages([pages[number] for number in sorted(pages)])
    document.name = request.name
    document.origin = DocumentOrigin(
        filename=request.name, mimetype=_known_type(request.plan.media_type), binary_hash=0
    )
    return AssembledDocument(document=document.model_dump_json(exclude_none=True))


def _known_type(media_type: str) -> str:
    """docling knows fewer media types than there are; the plan keeps the true one."""
    try:
        DocumentOrigin(filename="-", mimetype=media_type, binary_hash=0)
    except ValueError:
        return "application/octet-stream"
    return media_type


def _from_pages(pages: list[Page]) -> DoclingDocument:
    document = DoclingDocument(name="document")
    for page in pages:
        document.add_page(page_no=page.page, size=Size(width=page.width, height=page.height))
    words = vocabulary(pages)
    group: ListGroup | None = None
    for block in make_blocks(pages):
        text = text_of(block, words)
        if not text:
            continue
        if block.label is not Label.LIST_ITEM:
            group = None
        elif group is None:
            group = document.add_list_group()
        _add(document, block, text, group)
    return document


def _add(document: DoclingDocument, block: Block, text: str, group: ListGroup | None) -> None:
    place = _place(block, text)
    if block.label is Label.HEADING:
        document.add_heading(text=text, level=block.level, prov=place)
    elif block.label is Label.LIST_ITEM:
        enumerated = any(character.isalnum() for character in block.marker)
        document.add_list_item(
            text=text,
            enumerated=enumerated,
            marker=block.marker if enumerated else "-",
            parent=group,
            prov=place,
        )
    elif block.label is Label.TEXT:
        document.add_text(label=DocItemLabel.TEXT, text=text, prov=place)
    else:
        at_top = block.label is Label.FURNITURE_TOP
        document.add_text(
            label=DocItemLabel.PAGE_HEADER if at_top else DocItemLabel.PAGE_FOOTER,
            text=text,
            prov=place,
            content_layer=ContentLayer.FURNITURE,
        )


def _place(block: Block, text: str) -> ProvenanceItem:
    left, top, right, bottom = block.bbox or (0.0, 0.0, 0.0, 0.0)
    return ProvenanceItem(
        page_no=block.page,
        bbox=BoundingBox(l=left, t=top, r=right, b=bottom, coord_origin=CoordOrigin.TOPLEFT),
        charspan=(0, len(text)),
    )
