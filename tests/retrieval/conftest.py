"""The real embedder, stores that hold no key, and a file that models answer from."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from db.queries import postings
from db.queries.answer_cache import CacheLimits
from db.session import Database
from muniment.embedding import Embedder
from muniment.objects import BlobStore, FilesystemObjectStore, SealedTexts
from muniment.sealing import KeyFile
from retrieval.answer import Answerer
from retrieval.answer_permit import Permits
from retrieval.cache.responses import CacheIdentity, ResponseCache
from retrieval.language_models.model import Model
from tests.conftest import TenantFixture
from tests.model_process import ModelServer, serving_models
from tests.retrieval.caches import LIMITS, Caching
from tests.retrieval.model_answers import PASSAGES, Answering, answerer_of, permits_of
from tests.retrieval.published import Published, publish_file


@pytest.fixture(autouse=True)
def in_both_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """A language's first publication waits, the others are in rows of terms: searches read both."""
    monkeypatch.setattr(postings, "MAX_UNMERGED", 1)


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


@pytest.fixture(scope="package")
def server() -> Iterator[ModelServer]:
    """Models of every behaviour, in a process of their own."""
    with serving_models() as server:
        yield server


@pytest.fixture
async def published(database: Database, tenant: TenantFixture, embedder: Embedder) -> Published:
    """The file with the answer."""
    return await publish_file(
        database, tenant.access, tenant.collection_id, PASSAGES, embedder=embedder, name="h.pdf"
    )


@pytest.fixture
async def answering(
    database: Database, embedder: Embedder, texts: SealedTexts, published: Published
) -> AsyncIterator[Answering]:
    """Over the published file."""
    async with AsyncExitStack() as stack:

        def made(*models: Model, **settings: int) -> tuple[Answerer, Permits]:
            permits = permits_of(database, models, **settings)
            stack.push_async_callback(permits.close)
            return answerer_of(database, embedder, texts, permits), permits

        yield made


@pytest.fixture
async def caching(database: Database, tmp_path: Path) -> AsyncIterator[Caching]:
    """Caches of processes with the same keys."""
    async with AsyncExitStack() as stack:

        def made(
            *models: str, limits: CacheLimits | None = LIMITS, process: str = "release"
        ) -> ResponseCache:
            keys = KeyFile(tmp_path / "keys.json")
            cache = ResponseCache(database, keys, limits, CacheIdentity(models, process))
            stack.push_async_callback(cache.close)
            return cache

        yield made
