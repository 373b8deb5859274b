"""The epoch of a tenant rises with each commit that may change what a search finds, and makes nobody wait."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

import db.models
from db.models import Collection, Synonym, new_id
from db.queries import answer_cache
from db.session import Database
from tests.conftest import REPOSITORY, TenantFixture

KEY = b"k" * 32

WITHOUT_TRIGGER = {
    "answer_event": "not read: what an answer is told in has the same name",
    "asked_query": "not read: a class of queries has the same name",
    "chunk": "written and deleted with the row of its file, or with `lexical_document`",
    "embedding": "of a publication, or of an index version before it is active",
    "file_version": "shown by its file, which says which is the current one",
    "model_pause": "compared with what held when the response was kept",
    "page": "of a publication; what proves a citation stays with its version",
    "page_layer": "as `page`",
    "posting": "of a publication, with `lexical_document`; merging leaves what is found as it is",
    "posting_removal": "what maintenance has yet to do; searches leave it out already",
    "tenant": "of one that is disabled, its principals are",
    "token_budget": "what an answer may cost; one that is told again costs nothing",
    "token_reservation": "what an answer may cost; one that is told again costs nothing",
    "token_usage": "what an answer may cost; one that is told again costs nothing",
    "vector_store_file": "no search of a vector store is told again",
}


async def epoch(database: Database, tenant: TenantFixture) -> int:
    async with database.transaction(tenant.access) as session:
        return (await answer_cache.find(session, KEY)).epoch


async def test_a_transaction_counts_once_and_only_for_its_tenant(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    mine, others = await epoch(database, tenant), await epoch(database, other_tenant)
    async with database.transaction(tenant.access) as session:
        session.add(Collection(tenant_id=tenant.tenant_id, name="one"))
        await session.flush()
        session.add(Collection(tenant_id=tenant.tenant_id, name="two"))
    assert await epoch(database, tenant) == mine + 1
    assert await epoch(database, other_tenant) == others


async def test_what_is_rolled_back_counts_nothing_and_what_follows_counts(
    database: Database, tenant: TenantFixture
) -> None:
    before = await epoch(database, tenant)
    async with database.transaction(tenant.access) as session:
        savepoint = await session.begin_nested()
        session.add(Collection(tenant_id=tenant.tenant_id, name="gone"))
        await session.flush()
        await savepoint.rollback()
    assert await epoch(database, tenant) == before
    async with database.transaction(tenant.access) as session:
        savepoint = await session.begin_nested()
        session.add(Collection(tenant_id=tenant.tenant_id, name="gone"))
        await session.flush()
        await savepoint.rollback()
        session.add(Collection(tenant_id=tenant.tenant_id, name="stays"))
    assert await epoch(database, tenant) == before + 1


async def test_transactions_at_once_do_not_wait_for_each_other_and_all_count(
    database: Database, tenant: TenantFixture
) -> None:
    before = await epoch(database, tenant)
    async with (
        database.transaction(tenant.access) as first,
        database.transaction(tenant.access) as second,
        database.transaction(tenant.access) as third,
    ):
        for number, session in enumerate((first, second, third)):
            await session.execute(text("SET LOCAL lock_timeout = '5s'"))
            session.add(Collection(tenant_id=tenant.tenant_id, name=f"at once {number}"))
            await session.flush()
        assert await epoch(database, tenant) == before
        await second.commit()
        assert await epoch(database, tenant) == before + 1
    assert await epoch(database, tenant) == before + 3
    async with database.transaction(tenant.access) as session:
        rows = await session.scalar(text("SELECT count(*) FROM corpus_epoch"))
    async with database.transaction(tenant.access) as session:
        session.add(Collection(tenant_id=tenant.tenant_id, name="alone"))
    async with database.transaction(tenant.access) as session:
        assert await session.scalar(text("SELECT count(*) FROM corpus_epoch")) == rows == 3


async def test_a_snapshot_sees_a_change_and_its_count_or_neither(
    database: Database, tenant: TenantFixture
) -> None:
    before = await epoch(database, tenant)
    async with database.transaction(tenant.access, is_snapshot=True) as snapshot:
        assert (await answer_cache.find(snapshot, KEY)).epoch == before
        async with database.transaction(tenant.access) as session:
            session.add(
                Synonym(
                    tenant_id=tenant.tenant_id, place=0, words=["a", "b"], also=[], keys=["a", "b"]
                )
            )
        assert (await answer_cache.find(snapshot, KEY)).epoch == before
        assert await snapshot.scalar(text("SELECT count(*) FROM synonym")) == 0
    assert await epoch(database, tenant) == before + 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE corpus_epoch SET changes = 0",
        "DELETE FROM corpus_epoch",
        "INSERT INTO corpus_epoch (tenant_id, id, changes)"
        " VALUES (current_tenant(), gen_random_uuid(), 1)",
    ],
)
async def test_the_application_counts_nothing_itself(
    database: Database, tenant: TenantFixture, statement: str
) -> None:
    with pytest.raises(ProgrammingError) as refused:
        async with database.transaction(tenant.access) as session:
            await session.execute(text(statement))
    assert isinstance(refused.value.orig, InsufficientPrivilege)


async def test_what_no_search_reads_counts_nothing(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    """A file on its way through ingestion is found by nobody."""
    before = await epoch(database, tenant)
    file_id = new_id()
    async with database.transaction(tenant.system) as session:
        session.add(
            db.models.File(
                id=file_id,
                tenant_id=tenant.tenant_id,
                collection_id=tenant.collection_id,
                name="a.txt",
                state="received",
                media_type="text/plain",
            )
        )
        await session.flush()
        await set_state(session, file_id, "processing")
    assert await epoch(database, tenant) == before
    async with database.transaction(tenant.system) as session:
        await set_state(session, file_id, "ready")
    assert await epoch(database, tenant) == before + 1
    async with database.transaction(tenant.system) as session:
        await set_state(session, file_id, "ready")
    assert await epoch(database, tenant) == before + 1


async def set_state(session: AsyncSession, file_id: UUID, state: str) -> None:
    await session.execute(
        text("UPDATE file SET state = :state WHERE id = :id"), {"state": state, "id": file_id}
    )


# ── which tables ────────────────────────────────────────────────────────────────────────────────


def modules_of_searches() -> Iterator[Path]:
    """Of searches, answers and the pages that prove them, and what of ours they import, as far as it writes
    SQL."""
    begun = ("retrieval/search.py", "retrieval/answer.py", "db/queries/pages.py")
    waiting = [REPOSITORY / name for name in begun]
    seen = set(waiting)
    while waiting:
        module = waiting.pop()
        yield module
        for imported in imports(module) - seen:
            seen.add(imported)
            waiting.append(imported)


def imports(module: Path) -> set[Path]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        else:
            continue
        for name in names:
            path = REPOSITORY / (name.replace(".", "/") + ".py")
            if name.startswith(("retrieval.", "db.queries.")) and path.is_file():
                found.add(path)
    return found


def tables_of(source: str) -> set[str]:
    """That it names, by their names or those of their models."""
    names = set(SQLModel.metadata.tables)
    models = {
        model.__name__: str(model.__tablename__)
        for model in vars(db.models).values()
        if isinstance(model, type) and hasattr(model, "__tablename__")
    }
    read = set(re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)", source)) & names
    return read | {models[each] for each in re.findall(r"\b[A-Z]\w+", source) if each in models}


def test_every_table_that_a_search_reads_is_counted_or_says_why_not(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        counted = {
            row[0]
            for row in connection.execute(
                "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger"
                " WHERE tgfoid = 'count_corpus_change'::regproc"
            )
        }
        functions = dict(
            connection.execute(
                "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
                " AND proname IN ('visible_files', 'paused_models')"
            )
        )
    assert len(functions) == 2
    sources = [module.read_text(encoding="utf-8") for module in modules_of_searches()]
    read = set().union(*map(tables_of, (*sources, *functions.values())))
    assert {"file", "collection", "chunk", "access_grant", "synonym", "posting"} <= read
    assert read - counted == set(WITHOUT_TRIGGER)
    assert counted <= read
    assert all(WITHOUT_TRIGGER.values())
