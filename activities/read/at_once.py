"""A document that is read whole is put together by the process that has just read it: one launch, and
one reading of the pages as JSON, fewer. See docs/decisions/0047-read-and-assembled-at-once.md.

That is tried, and nothing lost where it fails: the stage `assemble` makes then what is missing.
"""

from docling_core.types.doc.document import DoclingDocument

from activities.assemble.calls import AssembledDocument
from activities.assemble.engine import put_together
from activities.read.calls import ASSEMBLE_AT_ONCE_SECONDS, ReadRequest
from activities.sandbox.time_limit import time_limit
from muniment.contracts.documents import Page

MAXIMUM_CHARACTERS = 1_000_000
"""Of all pages. More is put together in a process of its own, which may use twice the memory: the
pages that are held here are not to take that of those still to be read."""
MAXIMUM_DOCUMENT_CHARACTERS = 8_000_000
"""Of a structured format's own document as JSON, for the same reason."""


class PagesAtHand:
    """Pages as they were read, held as long as they are few enough to be put together here."""

    def __init__(self) -> None:
        self._pages: dict[int, Page] = {}
        self._characters = 0

    def add(self, page: Page) -> None:
        self._characters += len(page.text)
        if self._characters > MAXIMUM_CHARACTERS:
            self._pages.clear()
        else:
            self._pages[page.page] = page

    def take(self) -> dict[int, Page]:
        """The pages; they are not held here any more."""
        pages, self._pages = self._pages, {}
        return pages


def assembled_at_once(
    request: ReadRequest, at_hand: PagesAtHand, own_document: str | None = None
) -> AssembledDocument | None:
    """The document, as the engine `assemble` makes it; None where it cannot be made here."""
    pages = at_hand.take()
    if request.assemble is None or len(pages) < len(request.pages):
        return None
    if own_document is not None and len(own_document) > MAXIMUM_DOCUMENT_CHARACTERS:
        return None
    try:
        with time_limit(ASSEMBLE_AT_ONCE_SECONDS):
            document = (
                None if own_document is None else DoclingDocument.model_validate_json(own_document)
            )
            return put_together(request.assemble, pages, document)
    except Exception:  # noqa: BLE001 - whatever it is, the stage `assemble` meets it again and says so
        return None
