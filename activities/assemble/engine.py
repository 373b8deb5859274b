"""The engine `assemble`: one DoclingDocument out of the pages that were read."""

from collections.abc import Mapping
from types import MappingProxyType

from docling_core.types.doc.base import Size
from docling_core.types.doc.common.origin import DocumentOrigin
from docling_core.types.doc.document import DoclingDocument

from activities.assemble.building import build
from activities.assemble.calls import AssembledDocument, AssembleRequest
from activities.assemble.facts import facts_of
from activities.assemble.joining import vocabulary
from activities.assemble.levels import settle_levels
from activities.assemble.page_documents import joined
from activities.assemble.structure import make_blocks
from activities.sandbox.registry import EngineContext, engine, warm
from muniment.contracts.documents import Line, OutlineEntry, Page, PageBatch, PageSource


@engine("assemble")
def assemble(request: AssembleRequest, context: EngineContext) -> AssembledDocument:
    """A structured format's own document is kept, and so are those that a pipeline of models made of
    single pages; other pages of PDFs and images are put in order."""
    pages: dict[int, Page] = {}
    structures: dict[int, str] = {}
    document: DoclingDocument | None = None
    for line in context.content.read().splitlines():
        batch = PageBatch.model_validate_json(line)
        if batch.document is not None and document is None:
            document = DoclingDocument.model_validate_json(batch.document)
        pages.update((page.page, page) for page in batch.pages)
        structures.update((made.page, made.document) for made in batch.structures)
    return put_together(request, pages, document, structures)


def put_together(
    request: AssembleRequest,
    pages: dict[int, Page],
    document: DoclingDocument | None,
    structures: Mapping[int, str] = MappingProxyType({}),
) -> AssembledDocument:
    """Uses the pages up; `document` is the one that a structured format brought along."""
    facts = facts_of(pages, request.plan)
    if document is None and structures:
        document = joined(pages, structures, request.plan.outline)
    elif document is None:
        document = document_of_pages(pages, request.plan.outline)
    document.name = request.name
    document.origin = DocumentOrigin(
        filename=request.name, mimetype=_known_type(request.plan.media_type), binary_hash=0
    )
    return AssembledDocument(document=document.model_dump_json(exclude_none=True), facts=facts)


def document_of_pages(pages: dict[int, Page], outline: tuple[OutlineEntry, ...]) -> DoclingDocument:
    """Uses the pages up."""
    in_order = [pages[number] for number in sorted(pages)]
    words = vocabulary(in_order)
    sizes = {page.page: Size(width=page.width, height=page.height) for page in in_order}
    blocks = make_blocks(in_order, outline)
    pages.clear()
    in_order.clear()
    document = build(sizes, blocks, words)
    settle_levels(document, outline)
    return document


def _known_type(media_type: str) -> str:
    """docling knows fewer media types than there are; the plan keeps the true one."""
    try:
        DocumentOrigin(filename="-", mimetype=media_type, binary_hash=0)
    except ValueError:
        return "application/octet-stream"
    return media_type


@warm
def warm_assembling() -> None:
    """Every child then finds what the libraries make at their first document."""
    line = Line(text="A document to begin with.", bbox=(72, 72, 300, 84), font_size=12)
    page = Page(
        page=1, width=595, height=842, source=PageSource.TEXT, engine="warm", text=line.text,
        lines=(line,),
    )  # fmt: skip
    batch = PageBatch.model_validate_json(PageBatch(pages=(page,)).model_dump_json())
    pages = {page.page: page for page in batch.pages}
    document_of_pages(pages, ()).model_dump_json(exclude_none=True)
