"""Published files, as `publish` leaves them, and the real embedder."""

import pytest

from muniment.embedding import Embedder


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    embedder = Embedder(tmp_path_factory.mktemp("embedding") / "model", threads=2)
    embedder.load()
    return embedder
