"""Vectors equal the reference, in the order of the texts, without a network."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from muniment.embedding import DIMENSIONS, Embedder
from muniment.embedding.model import MODEL_FILE
from muniment.embedding.tokenizer import load_tokenizer
from muniment.errors import ConfigurationError, EngineError

SENTENCES = [
    "The tenancy ends on 31 March.",
    "A muniment is a document kept as evidence of rights or privileges. " * 12,
    "Fish swim.",
    "",
]


def test_vectors_equal_those_of_sentence_transformers(
    embedder: Embedder, shared_data: Path
) -> None:
    reference = json.loads((shared_data / "minilm_reference.json").read_text())
    vectors = embedder.embed([entry["text"] for entry in reference])
    expected = np.array([entry["vector"] for entry in reference])
    assert np.abs(vectors - expected).max() < 1e-5


def test_rows_follow_the_texts_whatever_their_lengths(embedder: Embedder) -> None:
    texts = [*SENTENCES, *(f"Paragraph {n} says {'much ' * (n % 7)}." for n in range(40))]
    together = embedder.embed(texts)
    assert together.shape == (len(texts), DIMENSIONS)
    assert together.dtype == np.float32
    for row in (0, 1, 2, 3, 25, 43):
        assert np.abs(together[row] - embedder.embed_query(texts[row])).max() < 1e-5


def test_vectors_have_length_one(embedder: Embedder) -> None:
    assert np.allclose(np.linalg.norm(embedder.embed(SENTENCES), axis=1), 1.0, atol=1e-5)


def test_what_onnx_runtime_raises_is_an_engines_error(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder.load()
    session = onnxruntime.InferenceSession(embedder._model_directory / MODEL_FILE)

    def failing(*_: object, **__: object) -> object:
        wrong = {each.name: np.zeros((1, 2), np.float32) for each in session.get_inputs()}
        return session.run(None, wrong)

    monkeypatch.setattr(embedder._model, "embed", failing)
    with pytest.raises(EngineError, match="InvalidArgument") as raised:
        embedder.embed(["the lease"])
    assert raised.value.__cause__ is None


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, DIMENSIONS)


def test_what_follows_the_256th_token_does_not_count(embedder: Embedder) -> None:
    window = "word " * 254
    first, longer, shorter = embedder.embed([window, window + "elephant " * 50, window[:-50]])
    assert np.abs(first - longer).max() < 1e-6
    assert np.abs(first - shorter).max() > 1e-4


def test_progress_is_told_after_every_batch_and_can_end_the_work(embedder: Embedder) -> None:
    done: list[int] = []
    embedder.embed(["short text"] * 40, on_batch=done.append)
    assert done[-1] == 40
    assert done == sorted(done)
    assert len(done) > 1

    def cancel(count: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        embedder.embed(["short text"] * 40, on_batch=cancel)


def test_threads_may_share_an_embedder(model_directory: Path) -> None:
    shared = Embedder(model_directory, threads=1)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: shared.embed(SENTENCES), range(3)))
    for vectors in results[1:]:
        assert np.array_equal(vectors, results[0])


def test_a_damaged_model_is_refused_with_its_remedy(model_directory: Path, tmp_path: Path) -> None:
    for file in model_directory.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[:5000] if file.suffix == ".onnx" else content)
    with pytest.raises(ConfigurationError) as refused:
        Embedder(tmp_path).load()
    assert "Remove that directory" in refused.value.remedy


def test_the_tokenizer_counts_without_cutting_or_padding() -> None:
    tokenizer = load_tokenizer()
    assert len(tokenizer.encode("word", add_special_tokens=False)) == 1
    assert len(tokenizer.encode("word " * 900, add_special_tokens=False)) == 900


OFFLINE = """
import socket, sys
def refuse(*arguments, **keywords):
    raise SystemExit("a connection was attempted")
socket.socket.connect = socket.getaddrinfo = refuse
import muniment.embedding
heavy = {"onnx", "onnxruntime", "fastembed", "safetensors", "tokenizers", "transformers"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
from pathlib import Path
embedder = muniment.embedding.Embedder(Path(sys.argv[1]), threads=1)
assert embedder.embed_query("offline").shape == (384,)
import os
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
"""


def test_importing_is_light_and_embedding_needs_no_network(
    model_directory: Path, tmp_path: Path
) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(model_directory)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*")) == [], "something was written to the home or cache"
