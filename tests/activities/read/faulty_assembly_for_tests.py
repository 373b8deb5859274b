"""In place of what puts a document together at once: it fails as the plan's title says."""

import os
import signal

from activities.assemble import engine
from activities.assemble.calls import AssembledDocument, AssembleRequest
from activities.read import at_once
from muniment.contracts.documents import Page
from muniment.errors import DamagedDocument

_GIBIBYTE = 1024**3


def put_together(
    request: AssembleRequest, pages: dict[int, Page], document: object = None
) -> AssembledDocument:
    match request.plan.title:
        case "raises":
            raise DamagedDocument("It cannot be put together.")
        case "swells":
            bytearray(64 * _GIBIBYTE)
        case "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hangs":
            while True:
                pass
    return engine.put_together(request, pages, document)  # type: ignore[arg-type] # as it was given


at_once.put_together = put_together  # type: ignore[assignment, attr-defined] # stands in for it
at_once.ASSEMBLE_AT_ONCE_SECONDS = 1  # type: ignore[attr-defined] # at_once takes it from calls
