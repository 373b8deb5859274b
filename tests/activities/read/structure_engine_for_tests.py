"""In place of docling's pipeline, whose weights cannot be had everywhere: an engine that does with each page
what the page's first line says, and else makes that line a heading and the rest one paragraph."""

import os
import signal
import time

from docling_core.types.doc.base import BoundingBox, Size
from docling_core.types.doc.common.reference import ProvenanceItem
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from activities.read.structure_calls import (
    StructureOutcome,
    StructureProgress,
    StructureRequest,
)
from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.documents import Page, PageStructure


@engine("structure_pages")
def structure_pages(request: StructureRequest, context: EngineContext) -> StructureOutcome:
    for page in request.pages:
        first, _, rest = page.text.partition("\n")
        if first == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        if first == "hang":
            time.sleep(60)
        if first != "be silent":
            document = _document(page, first, rest).model_dump_json()
            made = PageStructure(page=page.page, document=document)
            context.report(StructureProgress(structure=made))
    return StructureOutcome()


def _document(page: Page, heading: str, paragraph: str) -> DoclingDocument:
    document = DoclingDocument(name="page")
    document.add_page(page_no=1, size=Size(width=page.width, height=page.height))
    whole = BoundingBox(l=0, t=0, r=page.width, b=page.height)
    document.add_heading(
        text=heading,
        prov=ProvenanceItem(page_no=1, bbox=whole, charspan=(0, len(heading))),
    )
    if paragraph:
        document.add_text(
            label=DocItemLabel.TEXT,
            text=paragraph,
            prov=ProvenanceItem(page_no=1, bbox=whole, charspan=(0, len(paragraph))),
        )
    return document
