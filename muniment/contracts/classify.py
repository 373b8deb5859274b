"""Stage `classify`: where personal data and secrets stand."""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Artifact, Contract, StageOutcome, VersionReference
from muniment.contracts.findings import FindingAct


class ClassifyInput(Contract):
    """`is_judged`: there are policies that say what becomes of what is found."""

    version: VersionReference
    document: Artifact
    is_judged: bool = False


class ClassifyResult(StageOutcome):
    """`findings` is a FindingList; `is_complete` says that it names nothing as not examined.

    `act` is what the policies ask for: with `review` the document waits for a person, who is told the
    `reason`. `is_masking`: tokens are to stand for some of the findings. `review_seconds`: for how long a
    person has time, where there may be something to decide.
    """

    findings: Artifact
    finding_count: int
    is_complete: bool = True
    act: FindingAct = FindingAct.RECORD
    reason: str = ""
    review_seconds: float | None = None
    is_masking: bool = False


class ClassifyActivities(ABC):
    @activity.defn(name="classify_content")
    @abstractmethod
    async def classify_content(self, request: ClassifyInput) -> ClassifyResult:
        """Records places and kinds, never values, and what the policies ask for. Raises
        FindingsRefused where they refuse the document."""
