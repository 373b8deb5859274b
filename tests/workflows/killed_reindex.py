"""The building of an index version in a process of its own, which kills itself when the vectors of its third
batch are written and not committed."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.testing import ActivityEnvironment

from activities.reindex import activity as reindexing
from activities.reindex.activity import Reindexing
from db.queries import index_filling
from db.queries.index_filling import Vector
from db.session import Database
from muniment.contracts.reindex import ReindexInput
from muniment.embedding import Embedder, default_model_directory
from muniment.objects import SealedTexts
from muniment.settings import load_settings
from muniment.stores import open_stores

LETHAL_BATCH = 3


async def main(tenant_id: UUID, index_version_id: UUID) -> None:
    settings = load_settings()
    database = Database(settings.database.url.get_secret_value())
    real, calls = index_filling.fill, 0

    async def fill(session: AsyncSession, index: UUID, vectors: dict[bytes, Vector]) -> int:
        nonlocal calls
        calls += 1
        filled = await real(session, index, vectors)
        if calls == LETHAL_BATCH:
            os.kill(os.getpid(), signal.SIGKILL)
        return filled

    index_filling.fill = fill  # type: ignore[assignment]
    reindexing.BATCH_TEXTS = 1
    embedder = Embedder(default_model_directory(), threads=1)
    texts = SealedTexts(open_stores(settings).blobs)
    parts = Reindexing(database, embedder, texts, timedelta(hours=1))
    request = ReindexInput(tenant_id=tenant_id, index_version_id=index_version_id)
    await ActivityEnvironment().run(parts.fill_index, request)


if __name__ == "__main__":
    asyncio.run(main(UUID(sys.argv[1]), UUID(sys.argv[2])))
