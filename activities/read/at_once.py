"""A document that is read whole is put together by the process that has just read it: one launch, and
one reading of the pages as JSON, fewer. See docs/decisions/0047-read-and-assembled-at-once.md.

That is tried, and nothing lost where it fails or is ended by the caller: the stage `assemble` makes
then what is missing.
"""

from docling_core.types.doc.document import DoclingDocument

from activities.assemble.calls import AssembledDocument
from activities.assemble.engine import put_together
from activities.read.calls import ReadRequest
from muniment.contracts.documents import Page

MAXIMUM_CHARACTERS = 8_000_000
"""As JSON, of all pages, of a structured format's own document, and of the one that is made. More is
put together in a process of its own, which may use twice the memory and whose answer holds nothing
else: the pages that are held here are not to take the memory of those still to be read."""
PIECE_CHARACTERS = 150
"""What a line, a cell, a picture or a hidden text takes as JSON, its text apart."""


class PagesAtHand:
    """Pages as they were read, held as long as they are few enough to be put together here."""

    def __init__(self) -> None:
        self._pages: dict[int, Page] = {}
        self._characters = 0

    def add(self, page: Page) -> None:
        self._characters += _characters(page)
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
    if own_document is not None and len(own_document) > MAXIMUM_CHARACTERS:
        return None
    try:
        document = (
            None if own_document is None else DoclingDocument.model_validate_json(own_document)
        )
        assembled = put_together(request.assemble, pages, document)
    except Exception:  # noqa: BLE001 - whatever it is, the stage `assemble` meets it again and says so
        return None
    return assembled if len(assembled.document) <= MAXIMUM_CHARACTERS else None


def _characters(page: Page) -> int:
    """About how many the page has as JSON; to write it once more would cost what is saved here."""
    cells = sum(len(table.cells) for table in page.tables)
    pieces = len(page.lines) + cells + len(page.pictures) + len(page.hidden)
    of_lines = sum(len(line.text) + len(line.word_boxes) for line in page.lines)
    of_hidden = sum(len(hidden.text) for hidden in page.hidden)
    return len(page.text) + of_lines + of_hidden + PIECE_CHARACTERS * pieces
