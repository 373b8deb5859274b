"""One prepared model for the tests of this folder."""

from pathlib import Path

import pytest

from muniment.embedding import Embedder, prepare_model


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_model(tmp_path_factory.mktemp("models") / "minilm")


@pytest.fixture(scope="session")
def embedder(model_directory: Path) -> Embedder:
    return Embedder(model_directory, threads=1)
