"""Vectors of chunks by every model that the tenant's index versions want.

As an artifact: a matrix in NumPy's .npy format, little-endian float32, a row per chunk, where they are of the
default model alone: so releases from before there were several read it too. Else a line of JSON that names
the models, then such a matrix of each.
"""

import asyncio
import io
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from activities.fingerprints import fingerprint
from activities.stage import StageRunner
from activities.standing_back import in_background
from db.queries.index_versions import IndexModel, kept_whole, model_of
from db.queries.publish import known_vectors
from muniment.contracts.base import Artifact, VersionReference
from muniment.contracts.documents import Chunk
from muniment.contracts.jobs import StageName
from muniment.embedding import Embedder, TextEmbedder

Vectors = npt.NDArray[np.float32]
VectorsByModel = Mapping[IndexModel, Vectors]

_NPY = b"\x93NUMPY"


class Counted:
    """How many texts have their vectors, of all models together; written by the embedding thread alone."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0


@dataclass(frozen=True)
class Made:
    """A matrix for each model. `embedded` and `reused`: of the vectors in them."""

    vectors: VectorsByModel
    embedded: int
    reused: int


class ChunkVectors:
    """Texts are embedded in a thread; between two batches of the model a cancellation ends it."""

    def __init__(self, runner: StageRunner, embedder: Embedder) -> None:
        self._runner = runner
        self._embedder = embedder

    def known(self) -> tuple[IndexModel, ...]:
        """The models that are here, of which the first is the default."""
        return tuple(index_model(each) for each in self._embedder.models())

    def default(self) -> IndexModel:
        return index_model(self._embedder)

    async def wanted(self, version: VersionReference) -> tuple[IndexModel, ...]:
        """Those of the index versions that the version's publication enters. The default is among them where
        the active one is of a model that is not here: then it is the next one's."""
        known = self.known()
        async with self._runner.transaction(version) as session:
            kept = {model_of(row) for row in await kept_whole(session)}
        return tuple(each for each in known if each in kept) or known[:1]

    async def make(
        self,
        version: VersionReference,
        chunks: Sequence[Chunk],
        hashes: Sequence[bytes],
        models: Sequence[IndexModel],
        counted: Counted | None = None,
    ) -> Made:
        """`hashes`: those of the chunks' texts; equal ones are embedded once, and not at all where some chunk
        of the tenant has the vector already."""
        counted = counted or Counted()
        texts = {
            text_hash: chunk.embedding_text()
            for text_hash, chunk in zip(hashes, chunks, strict=True)
        }
        found: dict[IndexModel, dict[bytes, Vectors]] = {}
        for model in models:
            found[model] = {}
            if hashes:
                async with self._runner.transaction(version) as session:
                    found[model] = await known_vectors(session, hashes, model)
            counted.total += len(texts) - len(found[model])
        embedded = counted.total
        matrices = {}
        for model in models:
            missing = {key: said for key, said in texts.items() if key not in found[model]}
            made = await embed_texts(self.embedder_of(model), list(missing.values()), counted)
            by_hash = found[model] | dict(zip(missing, made, strict=True))
            matrix = np.zeros((len(chunks), model.dimensions), dtype="<f4")
            for row, text_hash in enumerate(hashes):
                matrix[row] = by_hash[text_hash]
            matrices[model] = matrix
        return Made(matrices, embedded, len(chunks) * len(models) - embedded)

    def embedder_of(self, model: IndexModel) -> TextEmbedder:
        """One of those in `known`."""
        embedder = self._embedder.for_model(model.model_id, model.model_version)
        if embedder is None:
            raise LookupError("a model that is not here")
        return embedder


def index_model(embedder: TextEmbedder) -> IndexModel:
    return IndexModel(embedder.model_id, embedder.version, embedder.dimensions)


class _Abandoned(Exception):
    """Nobody waits for the vectors any more."""


async def embed_texts(
    embedder: TextEmbedder, texts: Sequence[str], counted: Counted | None = None
) -> Vectors:
    """The texts' vectors; when the awaiting task is cancelled, the thread ends with the batch that
    it is at."""
    if not texts:
        return np.zeros((0, embedder.dimensions), dtype=np.float32)
    abandoned = threading.Event()
    before = counted.done if counted is not None else 0

    def count(done: int) -> None:
        if counted is not None:
            counted.done = before + done
        if abandoned.is_set():
            raise _Abandoned

    try:
        return await in_background(embedder.embed, texts, count)
    except asyncio.CancelledError:
        abandoned.set()
        raise


def fingerprint_of(models: Sequence[IndexModel], chunks: Artifact) -> str:
    names = "+".join(f"{model.model_id}/{model.model_version}" for model in models)
    return fingerprint(StageName.EMBED, names, [chunks.fingerprint])


def to_bytes(vectors: VectorsByModel, default: IndexModel) -> bytes:
    content = io.BytesIO()
    if list(vectors) != [default]:
        content.write(json.dumps([asdict(model) for model in vectors]).encode() + b"\n")
    for matrix in vectors.values():
        np.save(content, matrix, allow_pickle=False)
    return content.getvalue()


def from_bytes(stored: bytes, alone: IndexModel | None) -> dict[IndexModel, Vectors]:
    """`alone`: of which model a matrix is that stands alone; None where that is not here, and its vectors
    are left out, as those are that have not their model's dimensions."""
    content = io.BytesIO(stored)
    if stored.startswith(_NPY):
        models = [alone]
    else:
        models = [IndexModel(**each) for each in json.loads(content.readline())]
    found = ((model, np.load(content, allow_pickle=False)) for model in models)
    return {
        model: matrix
        for model, matrix in found
        if model is not None and matrix.shape[1:] == (model.dimensions,)
    }
