"""Texts to vectors, through fastembed and ONNX Runtime."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from muniment.embedding.model import DIMENSIONS, MODEL_FILE, MODEL_ID, MODEL_VERSION, prepare_model
from muniment.embedding.models import ShortenedEmbedder, TextEmbedder
from muniment.embedding.tokenizer import load_tokenizer
from muniment.errors import ConfigurationError, EngineError

if TYPE_CHECKING:
    from fastembed.text.custom_text_embedding import CustomTextEmbedding
    from onnxruntime import SessionOptions

BATCH_SIZE = 16
_REGISTERED_NAME = "muniment/all-minilm-l6-v2"
"""fastembed knows a model of the original name, which it would fetch from the hub."""

_SHARING_CORES = {"session.intra_op.allow_spinning": "0", "session.dynamic_block_base": "4"}
"""ONNX Runtime's threads spin while they wait for each other, each with its equal share of the work:
as fast on idle cores, and twice as slow where another process has one of two (measured: 304 ms a page
instead of 163)."""

_CUT, _UNKNOWN = "##", "[UNK]"
"""What the tokenizer (WordPiece) writes for the rest of a word, and for what it cannot spell."""

_registration = threading.Lock()


class Embedder:
    """all-MiniLM-L6-v2. Vectors are of length 1, so that their dot product is the cosine.

    A text counts up to the 256th token, special tokens included; what follows is ignored. The
    model is loaded by the first call, which prepares `model_directory` when it must (seconds). One
    instance may be used from several threads at once. `threads` bounds ONNX Runtime's threads for
    one call; by default it takes one per core.
    """

    dimensions: int = DIMENSIONS
    model_id: str = MODEL_ID
    version: str = MODEL_VERSION

    def __init__(self, model_directory: Path, threads: int | None = None) -> None:
        self._model_directory = model_directory
        self._threads = threads
        self._loading = threading.Lock()
        self._model: CustomTextEmbedding | None = None

    def load(self) -> None:
        """Loads the model now; ConfigurationError when it cannot be prepared or read."""
        with self._loading:
            if self._model is None:
                self._model = _load(prepare_model(self._model_directory), self._threads)

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """A matrix of shape (len(texts), 384), a row per text in their order.

        `on_batch` hears after each batch how many texts are done in total; what it raises ends
        the embedding, which is how a caller cancels it. Raises EngineError when the model fails.
        """
        self.load()
        assert self._model is not None  # noqa: S101 - load() returned, so the model is there
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        # Neighbours in length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            with _engine_errors():
                embedded = self._model.embed(
                    [texts[index] for index in batch], batch_size=BATCH_SIZE
                )
                vectors[batch] = np.stack(list(embedded))
            if on_batch is not None:
                on_batch(start + len(batch))
        return vectors

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        """The vector of a question, of shape (384,). This model knows no query prefix."""
        vector: npt.NDArray[np.float32] = self.embed([text])[0]
        return vector

    def models(self) -> tuple[TextEmbedder, ...]:
        """Every model that these weights make, this one first."""
        return (self, ShortenedEmbedder(self))

    def for_model(self, model_id: str, version: str) -> TextEmbedder | None:
        """The one whose vectors an index version of that model holds; None where it is not here."""
        wanted = (model_id, version)
        return next(
            (each for each in self.models() if (each.model_id, each.version) == wanted), None
        )

    def known_share(self, text: str) -> float:
        """How many of the text's words the model's vocabulary has whole, 0–1; the others are spelt from
        pieces, or unknown. 1 for a text without words. Signs are no words: every language has them. Of
        English questions .8 and more, .6 and more where they are full of terms; of Spanish ones half, of
        German ones .4, of Chinese ones .3, of Russian ones .1."""
        encoded = load_tokenizer().encode(text, add_special_tokens=False)
        tokens, offsets = encoded.tokens, encoded.offsets
        begun = [place for place, token in enumerate(tokens) if not token.startswith(_CUT)]
        words = [place for place in begun if text[offsets[place][0]].isalnum()]
        whole = [
            place
            for place in words
            if tokens[place] != _UNKNOWN and not _is_cut_after(tokens, place)
        ]
        return len(whole) / len(words) if words else 1.0


def _is_cut_after(tokens: Sequence[str], place: int) -> bool:
    return place + 1 < len(tokens) and tokens[place + 1].startswith(_CUT)


@contextmanager
def _engine_errors() -> Iterator[None]:
    """What ONNX Runtime raises as EngineError: its exceptions have no base of their own below Exception, and
    their messages may hold what was embedded."""
    from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

    try:
        yield
    except (
        onnx_errors.EPFail,
        onnx_errors.EngineError,
        onnx_errors.Fail,
        onnx_errors.InvalidArgument,
        onnx_errors.NotImplemented,
        onnx_errors.RuntimeException,
    ) as error:
        raise EngineError(f"the embedding model failed ({type(error).__name__})") from None


def _load(model_directory: Path, threads: int | None) -> "CustomTextEmbedding":
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType
    from fastembed.text.custom_text_embedding import CustomTextEmbedding
    from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

    with _registration:
        known = {str(model["model"]) for model in TextEmbedding.list_supported_models()}
        if _REGISTERED_NAME not in known:
            TextEmbedding.add_custom_model(
                model=_REGISTERED_NAME,
                pooling=PoolingType.MEAN,
                normalization=True,
                sources=ModelSource(hf=MODEL_ID),
                dim=DIMENSIONS,
                model_file=MODEL_FILE,
            )

    class SharedCores(CustomTextEmbedding):
        @classmethod
        def add_extra_session_options(
            cls, session_options: "SessionOptions", extra_options: dict[str, object]
        ) -> None:
            super().add_extra_session_options(session_options, extra_options)
            for option, value in _SHARING_CORES.items():
                session_options.add_session_config_entry(option, value)

    try:
        # The path keeps fastembed from the hub, the cache directory from making one of its own.
        return SharedCores(
            _REGISTERED_NAME,
            cache_dir=str(model_directory),
            threads=threads,
            providers=["CPUExecutionProvider"],
            specific_model_path=str(model_directory),
        )
    except (
        # ONNX Runtime's exceptions have no base of their own below Exception.
        onnx_errors.Fail,
        onnx_errors.InvalidGraph,
        onnx_errors.InvalidProtobuf,
        onnx_errors.NoSuchFile,
        onnx_errors.RuntimeException,
        ValueError,
        OSError,
    ) as error:
        raise ConfigurationError(
            f"The embedding model in {model_directory} cannot be loaded.",
            remedy="Remove that directory; it is made anew at the next start.",
        ) from error
