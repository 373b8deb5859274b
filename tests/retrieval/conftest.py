"""Published files, as `publish` leaves them, and the real embedder."""

from pathlib import Path

import pytest

from muniment.embedding import Embedder
from muniment.objects import BlobStore, FilesystemObjectStore, SealedTexts
from muniment.sealing import KeyFile


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    embedder = Embedder(tmp_path_factory.mktemp("embedding") / "model", threads=2)
    embedder.load()
    return embedder


@pytest.fixture
def texts(tmp_path: Path) -> SealedTexts:
    """Of stores that hold no key."""
    objects = FilesystemObjectStore(tmp_path / "objects")
    return SealedTexts(BlobStore(objects, KeyFile(tmp_path / "tenants.json"), objects))
