"""Stage `assemble`: one DoclingDocument out of the pages that were read."""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Artifact, Contract, StageOutcome, VersionReference


class AssembleInput(Contract):
    """The page batches are found by the job's outputs of `read`: a list of them would grow with
    the document."""

    version: VersionReference
    plan: Artifact


class AssembleResult(StageOutcome):
    """`document` is DoclingDocument JSON. `is_judged`: there are policies for what is found in it, so that
    it is classified before passages are made of it."""

    document: Artifact
    item_count: int
    is_judged: bool = False


class AssembleActivities(ABC):
    @activity.defn(name="assemble_document")
    @abstractmethod
    async def assemble_document(self, request: AssembleInput) -> AssembleResult:
        """Reading order, headings, tables, and for every item its page and box."""
