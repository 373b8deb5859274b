"""Stage `embed`: a vector for every chunk; identical text is never embedded twice."""

from abc import ABC, abstractmethod

from temporalio import activity

from muniment.contracts.base import Artifact, Contract, StageOutcome, VersionReference


class EmbedInput(Contract):
    version: VersionReference
    chunks: Artifact


class EmbedResult(StageOutcome):
    """`vectors` is a little-endian float32 matrix in NumPy's .npy format, a row per chunk."""

    vectors: Artifact
    embedded_count: int
    reused_count: int


class EmbedActivities(ABC):
    @activity.defn(name="embed_chunks")
    @abstractmethod
    async def embed_chunks(self, request: EmbedInput) -> EmbedResult: ...
