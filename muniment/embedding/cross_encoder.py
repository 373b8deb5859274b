"""A cross-encoder: a model that reads a question and a passage together, and says how well the one
answers the other. Through fastembed and ONNX Runtime, from a folder that the operator filled."""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from muniment.errors import ConfigurationError, DependencyUnavailable

if TYPE_CHECKING:
    from fastembed.rerank.cross_encoder import TextCrossEncoder

MODEL_FILES = ("model.onnx", "onnx/model.onnx")
"""Where the graph may lie: beside the tokenizer, or as the hub's repositories have it."""

TOKENIZER_FILES = (
    "config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)

_registration = threading.Lock()


class CrossEncoder:
    """The model in `model_directory`, by whose last part it is named. One instance may be used from several
    threads at once. `threads` bounds ONNX Runtime's threads for one call; by default one per core."""

    def __init__(self, model_directory: Path, threads: int | None = None) -> None:
        self.model_id = model_directory.name
        self._model_directory = model_directory
        self._threads = threads
        self._loading = threading.Lock()
        self._model: TextCrossEncoder | None = None

    def load(self) -> None:
        """Loads the model now; ConfigurationError where the folder does not hold one."""
        with self._loading:
            if self._model is None:
                self._model = _load(self._model_directory, self._threads)

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """The model's output for each text: the greater, the better it answers. What a pair has beyond the
        model's window is ignored. DependencyUnavailable where the model fails at these."""
        self.load()
        assert self._model is not None  # noqa: S101 - load() returned, so the model is there
        try:
            return [float(score) for score in self._model.rerank(query, list(texts))]
        except Exception as error:
            # Errors of ONNX Runtime and tokenizers have no other base, and may hold what was read.
            raise DependencyUnavailable(
                f"The cross-encoder {self.model_id} failed: {type(error).__name__}."
            ) from error


def _load(directory: Path, threads: int | None) -> "TextCrossEncoder":
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    model_file = _model_file(directory)
    # fastembed knows models by names, in small letters, that are registered once in a process.
    place = hashlib.sha256(str(directory.resolve() / model_file).encode()).hexdigest()
    name = f"muniment/cross-encoder-{place}"
    with _registration:
        known = {str(model["model"]) for model in TextCrossEncoder.list_supported_models()}
        if name not in known:
            TextCrossEncoder.add_custom_model(
                model=name, sources=ModelSource(hf=name), model_file=model_file
            )
    try:
        # The path keeps fastembed from the hub, the cache directory from making one of its own.
        return TextCrossEncoder(
            name,
            cache_dir=str(directory),
            threads=threads,
            providers=["CPUExecutionProvider"],
            specific_model_path=str(directory),
        )
    except Exception as error:
        # Errors of ONNX Runtime and tokenizers have no other base.
        raise ConfigurationError(
            f"The cross-encoder in {directory} cannot be loaded.",
            remedy="Copy the model's files there again, or unset MUNIMENT_RERANK__MODEL_DIRECTORY.",
        ) from error


def _model_file(directory: Path) -> str:
    missing = [name for name in TOKENIZER_FILES if not (directory / name).is_file()]
    found = [name for name in MODEL_FILES if (directory / name).is_file()]
    if missing or not found:
        raise ConfigurationError(
            f"{directory} holds no cross-encoder: {', '.join(missing or MODEL_FILES[:1])} is missing.",
            remedy="Copy an ONNX model and its tokenizer there (docs/search.md), or unset"
            " MUNIMENT_RERANK__MODEL_DIRECTORY.",
        )
    return found[0]
