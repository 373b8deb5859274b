"""Stage `chunk`: passages by structure, within the embedder's window."""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Artifact, Contract, StageOutcome, VersionReference


class ChunkInput(Contract):
    """`masking` is the FindingList of which the job's judgement masks some."""

    version: VersionReference
    document: Artifact
    masking: Artifact | None = None


class ChunkResult(StageOutcome):
    """`chunks` is a ChunkList. `unmasked_count`: values that were to be masked and can still be found, so
    that the document waits for a person, who is told the `reason`."""

    chunks: Artifact
    chunk_count: int
    unmasked_count: int = 0
    reason: str = ""


class ChunkActivities(ABC):
    @activity.defn(name="chunk_document")
    @abstractmethod
    async def chunk_document(self, request: ChunkInput) -> ChunkResult:
        """Every chunk keeps its pages and boxes."""
