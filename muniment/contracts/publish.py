"""Stage `publish`: readers see the old set of chunks or the new one, never a mix or a gap."""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Artifact, Contract, StageOutcome, VersionReference


class PublishInput(Contract):
    """`is_judged`: policies were asked about the findings, which are published with what they asked for."""

    version: VersionReference
    plan: Artifact
    document: Artifact
    chunks: Artifact
    vectors: Artifact
    findings: Artifact
    degraded: bool
    is_judged: bool = False


class PublishResult(StageOutcome):
    chunk_count: int


class PublishActivities(ABC):
    @activity.defn(name="publish_version")
    @abstractmethod
    async def publish_version(self, request: PublishInput) -> PublishResult:
        """Swaps the version in within one transaction and makes the file `ready`."""
