"""What the engine `assemble` is asked and answers."""

from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentPlan


class AssembleRequest(Contract):
    """The call's content are page batches, a PageBatch as JSON in each line, which together hold
    each page once, in any order: of thousands of pages no process should hold a second copy. `name`
    is the file's."""

    plan: DocumentPlan
    name: str


class AssembledDocument(Contract):
    """`document` is DoclingDocument JSON."""

    document: str
