"""What the engine `structure_pages` is asked and answers."""

from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentFamily, Page, PageStructure
from muniment.contracts.read import FailedPage


class StructureRequest(Contract):
    """Pages of the content, as they were read."""

    family: DocumentFamily
    pages: tuple[Page, ...]
    password: str | None = None


class StructureProgress(Contract):
    """One page is done: either structured or failed."""

    structure: PageStructure | None = None
    failed: FailedPage | None = None


class StructureOutcome(Contract):
    """Pages travel as progress."""
