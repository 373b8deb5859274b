"""Caches of responses, and what they keep."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from db.queries.answer_cache import CacheLimits
from db.session import Database
from retrieval.cache.responses import ResponseCache
from tests.conftest import TenantFixture

LIMITS = CacheLimits(timedelta(minutes=10), 100, 1_000_000)

Caching = Callable[..., ResponseCache]


async def rows(database: Database, tenant: TenantFixture) -> list[Any]:
    async with database.transaction(tenant.access) as session:
        found = await session.execute(
            text("SELECT kind, epoch, file_ids, sealed FROM cached_response ORDER BY created_at")
        )
        return list(found)
