"""What the engine `assemble` is asked and answers."""

from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentPlan, PageBatch


class AssembleRequest(Contract):
    """`batches` together hold each page once, in any order; `name` is the file's."""

    plan: DocumentPlan
    batches: tuple[PageBatch, ...]
    name: str


class AssembledDocument(Contract):
    """`document` is DoclingDocument JSON."""

    document: str
