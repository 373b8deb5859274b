"""The model's preparation: whole or absent, once, whoever comes first."""

import hashlib
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from muniment.embedding import model as model_module
from muniment.embedding import prepare_model
from muniment.embedding.model import is_prepared
from muniment.errors import ConfigurationError


def _digest(model_directory: Path) -> str:
    return hashlib.sha256((model_directory / "model.onnx").read_bytes()).hexdigest()


def test_preparing_twice_leaves_the_first_model_alone(tmp_path: Path) -> None:
    target = tmp_path / "models" / "minilm"
    prepare_model(target)
    written = (target / "model.onnx").stat().st_mtime_ns
    prepare_model(target)
    assert (target / "model.onnx").stat().st_mtime_ns == written
    assert [entry.name for entry in target.parent.iterdir()] == ["minilm"]


def test_processes_that_prepare_at_once_end_with_one_whole_model(
    tmp_path: Path, model_directory: Path
) -> None:
    target = tmp_path / "minilm"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        prepared = list(pool.map(prepare_model, [target] * 2))
    assert prepared == [target] * 2
    assert is_prepared(target)
    assert list(tmp_path.iterdir()) == [target], "drafts were left behind"
    assert _digest(target) == _digest(model_directory), "the conversion is not deterministic"


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ConfigurationError, match="SHA-256"):
        prepare_model(tmp_path / "minilm")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "minilm").mkdir()
    (tmp_path / "minilm" / "precious.txt").write_text("keep me")
    with pytest.raises(ConfigurationError, match="something else"):
        prepare_model(tmp_path / "minilm")
    assert (tmp_path / "minilm" / "precious.txt").read_text() == "keep me"


def test_the_command_says_where_the_model_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "muniment.embedding"]
    done = subprocess.run(
        [*command, str(tmp_path / "minilm")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "minilm") in done.stdout
    assert is_prepared(tmp_path / "minilm")
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 2
