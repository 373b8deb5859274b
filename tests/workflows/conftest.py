"""One installation for all workflow tests: its engines load once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import make_tenant
from tests.workflows.workshop import TenantIds, Workshop, open_workshop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def workshop(
    application_dsn: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Workshop]:
    folder: Path = tmp_path_factory.mktemp("workshop")
    async with open_workshop(folder, application_dsn, temporal_address) as opened:
        yield opened


@pytest.fixture
def owner(postgres_dsn: str) -> TenantIds:
    """A tenant of the test's own."""
    made = make_tenant(postgres_dsn)
    return TenantIds(made.tenant_id, made.collection_id, made.principal_id)
