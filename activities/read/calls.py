"""What the engines `read_text` and `read_ocr` are asked and answer.

All that was read travels as progress, as soon as it is there. So nothing of it is lost when the
process ends before its answer, which holds what may be missing.
"""

from activities.assemble.calls import AssembledDocument, AssembleRequest
from activities.read.ocr_engine import OcrChoice
from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentFamily, Page
from muniment.contracts.read import FailedPage

ASSEMBLE_AT_ONCE_SECONDS = 20
"""Of the clock, after the last page, for putting together what was just read: hundreds of times what
such a document takes."""


class ReadRequest(Contract):
    """`pages` are the numbers to read, from 1; `ocr` says by which engine `read_ocr` does. With
    `assemble` these are all pages of the document, and `read_text` puts it together too."""

    media_type: str
    family: DocumentFamily
    pages: tuple[int, ...]
    password: str | None = None
    ocr: OcrChoice = OcrChoice()
    assemble: AssembleRequest | None = None


class ReadProgress(Contract):
    """One of three: a page was read, a page failed, or, after the last page of a structured format,
    its own document as DoclingDocument JSON."""

    page: Page | None = None
    failed: FailedPage | None = None
    document: str | None = None


class ReadOutcome(Contract):
    """`assembled` is what the engine `assemble` would make of all pages; None where that was not asked
    for, or a page is missing, or it did not work out at once."""

    assembled: AssembledDocument | None = None


class DigestRequest(Contract):
    """The content is a PDF."""

    password: str | None = None


class PageDigests(Contract):
    """One of each per page, in order. Equal digests stand for equal pages, whose labels may differ:
    those are of the document."""

    digests: tuple[str, ...]
    labels: tuple[str | None, ...]
