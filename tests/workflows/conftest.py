"""One installation for all workflow tests: its engines load once."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from tests.conftest import end_what_runs, make_database, make_tenant
from tests.receiver import Receiver, receiving
from tests.workflows.workshop import TenantIds, Workshop, open_workshop, over_another_database


@pytest.fixture(scope="session")
def postgres_dsn(postgres_server: str) -> str:
    """Of a database that no other folder's tests have: rounds go through all that is left in it."""
    return make_database(postgres_server)


@pytest.fixture(scope="session")
def application_dsn(postgres_dsn: str) -> str:
    return postgres_dsn.replace("//postgres:@", "//muniment_app@")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def workshop(
    application_dsn: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Workshop]:
    folder: Path = tmp_path_factory.mktemp("workshop")
    async with open_workshop(folder, application_dsn, temporal_address) as opened:
        await end_what_runs(opened.client)  # tests of other folders had the same server
        yield opened


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def nothing_left_running(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Ends what a test, perhaps a failed one, left running: the next test has the same queues. What
    others left to be started is given up: a reconciler would try that first."""
    if "workshop" in request.fixturenames:
        with psycopg.connect(request.getfixturevalue("postgres_dsn")) as connection:
            connection.execute(
                "UPDATE job SET state = 'cancelled', finished_at = now()"
                " WHERE started_at IS NULL AND finished_at IS NULL"
            )
    yield
    if "workshop" not in request.fixturenames:
        return
    await end_what_runs(request.getfixturevalue("workshop").client)


@pytest.fixture
def owner(postgres_dsn: str) -> TenantIds:
    """A tenant of the test's own."""
    return tenant_in(postgres_dsn)


def tenant_in(dsn: str) -> TenantIds:
    made = make_tenant(dsn)
    return TenantIds(made.tenant_id, made.collection_id, made.principal_id)


@pytest.fixture
def lone_dsn(postgres_server: str) -> str:
    """Of a database of the test's own, for what does something for every tenant there is."""
    return make_database(postgres_server)


@pytest.fixture
def lone_owner(lone_dsn: str) -> TenantIds:
    """The only tenant in it."""
    return tenant_in(lone_dsn)


@pytest_asyncio.fixture(loop_scope="session")
async def lone_workshop(workshop: Workshop, lone_dsn: str) -> AsyncIterator[Workshop]:
    """The installation over it."""
    dsn = lone_dsn.replace("//postgres:@", "//muniment_app@")
    async with over_another_database(workshop, dsn) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody outside who takes webhooks."""
    with receiving() as receiver:
        yield receiver
