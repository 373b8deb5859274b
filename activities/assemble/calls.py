"""What the engine `assemble` is asked and answers."""

from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentPlan, HiddenKind

DOCUMENT_NAME = "document"
"""Every document is called so inside: the same content under another name is the same document."""


class AssembleRequest(Contract):
    """The call's content are page batches, a PageBatch as JSON in each line, which together hold
    each page once, in any order: of thousands of pages no process should hold a second copy. `name`
    is the file's."""

    plan: DocumentPlan
    name: str


class TextFacts(Contract):
    """What the text of all pages says about the document: its language (IETF tag), where it can be
    told, on how many pages text was found that nobody sees, and of which kinds."""

    language: str | None = None
    hidden_page_count: int = 0
    hidden_kinds: tuple[HiddenKind, ...] = ()


class AssembledDocument(Contract):
    """`document` is DoclingDocument JSON."""

    document: str
    facts: TextFacts = TextFacts()
