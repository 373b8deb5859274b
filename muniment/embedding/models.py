"""The embedding models that are here, and how the vectors of one come of another's."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from muniment.embedding.model import MODEL_ID

Vectors = npt.NDArray[np.float32]

SHORT_DIMENSIONS = 192
SHORT_MODEL_ID = f"{MODEL_ID}#first-{SHORT_DIMENSIONS}"
"""all-MiniLM-L6-v2 cut to the first half of its numbers: half the room, and somewhat worse, since it was not
trained to be cut (decision 0057)."""


class TextEmbedder(Protocol):
    """A model. Vectors have length 1; calls block and may come from several threads."""

    model_id: str
    version: str
    dimensions: int

    def embed(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Vectors:
        """Shape (len(texts), dimensions)."""

    def embed_query(self, text: str) -> Vectors:
        """Shape (dimensions,)."""


class ShortenedEmbedder:
    """Another model's vectors, cut to their first numbers and brought to length 1 again."""

    model_id = SHORT_MODEL_ID
    dimensions = SHORT_DIMENSIONS

    def __init__(self, whole: TextEmbedder) -> None:
        self._whole = whole
        self.version = whole.version

    def embed(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Vectors:
        return shortened(self._whole.embed(texts, on_batch))

    def embed_query(self, text: str) -> Vectors:
        vector: Vectors = shortened(self._whole.embed_query(text)[np.newaxis, :])[0]
        return vector


def shortened(vectors: Vectors) -> Vectors:
    """Of shape (texts, SHORT_DIMENSIONS); a vector without length stays as it is."""
    cut = np.ascontiguousarray(vectors[:, :SHORT_DIMENSIONS])
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    divided: Vectors = np.divide(cut, lengths, out=cut, where=lengths > 0)
    return divided
