"""In place of what puts a document together at once: it fails as the plan's title says, and answers
unasked for a document of the media type UNASKED."""

import os
import signal

from activities.assemble import engine
from activities.assemble.calls import AssembledDocument, AssembleRequest
from activities.read import at_once
from activities.read import engine as reading
from activities.read.at_once import MAXIMUM_CHARACTERS, PagesAtHand, assembled_at_once
from activities.read.calls import ReadRequest
from muniment.contracts.documents import Page
from muniment.errors import DamagedDocument

UNASKED = "application/x-unasked"
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
            # As within a library: no alarm is heard.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            while True:
                pass
        case "grows":
            return AssembledDocument(document="x" * (MAXIMUM_CHARACTERS + 1))
    return engine.put_together(request, pages, document)  # type: ignore[arg-type] # as it was given


def answered(
    request: ReadRequest, at_hand: PagesAtHand, own_document: str | None = None
) -> AssembledDocument | None:
    if request.media_type == UNASKED:
        return AssembledDocument(document="{}")
    if request.assemble is not None and request.assemble.plan.title == "refuses":
        raise DamagedDocument("It was read, and is refused now.")
    return assembled_at_once(request, at_hand, own_document)


at_once.put_together = put_together  # type: ignore[assignment, attr-defined] # stands in for it
reading.assembled_at_once = answered  # type: ignore[attr-defined] # stands in for it
