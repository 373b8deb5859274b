"""What the engines `read_text` and `read_ocr` are asked and answer.

Pages travel as progress, each as soon as it is read or has failed; the answer holds the rest.
"""

from activities.read.ocr_engine import OcrChoice
from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentFamily, Page
from muniment.contracts.read import FailedPage


class ReadRequest(Contract):
    """`pages` are the numbers to read, from 1; `ocr` says by which engine `read_ocr` does."""

    media_type: str
    family: DocumentFamily
    pages: tuple[int, ...]
    password: str | None = None
    ocr: OcrChoice = OcrChoice()


class ReadProgress(Contract):
    """One page is done: either read or failed."""

    page: Page | None = None
    failed: FailedPage | None = None


class ReadOutcome(Contract):
    """`document` is DoclingDocument JSON, from structured formats only."""

    document: str | None = None


class DigestRequest(Contract):
    """The content is a PDF."""

    password: str | None = None


class PageDigests(Contract):
    """One of each per page, in order. Equal digests stand for equal pages, whose labels may differ:
    those are of the document."""

    digests: tuple[str, ...]
    labels: tuple[str | None, ...]
