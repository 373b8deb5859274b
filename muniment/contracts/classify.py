"""Stage `classify`: where personal data and secrets stand."""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Artifact, Contract, StageOutcome, VersionReference


class ClassifyInput(Contract):
    version: VersionReference
    document: Artifact


class ClassifyResult(StageOutcome):
    """`findings` is a FindingList; `is_complete` says that it names nothing as not examined."""

    findings: Artifact
    finding_count: int
    is_complete: bool = True


class ClassifyActivities(ABC):
    @activity.defn(name="classify_content")
    @abstractmethod
    async def classify_content(self, request: ClassifyInput) -> ClassifyResult:
        """Records places and kinds, never values."""
