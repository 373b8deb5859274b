"""In place of docling's pipeline: an engine that does with each page what the page's text says."""

import os
import signal
import time

from activities.read.structure_calls import (
    StructureOutcome,
    StructureProgress,
    StructureRequest,
)
from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.documents import PageStructure


@engine("structure_pages")
def structure_pages(request: StructureRequest, context: EngineContext) -> StructureOutcome:
    for page in request.pages:
        if page.text == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        if page.text == "hang":
            time.sleep(60)
        if page.text != "be silent":
            context.report(
                StructureProgress(structure=PageStructure(page=page.page, document="{}"))
            )
    return StructureOutcome()
