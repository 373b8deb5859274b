"""Sealed text is not left to the code of before, which cannot open it."""

from contextlib import nullcontext

import psycopg
import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from db.migrate import migrate
from db.models import Collection, File
from db.session import Database
from tests.conftest import make_tenant
from tests.db.test_downgrades import dsn_of, revision_of
from tests.retrieval.published import publish_file


def test_collections_with_encrypted_text_are_set_to_full_before_a_downgrade(owner_dsn: str) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    make_tenant(superuser)
    while revision_of(owner_dsn) != "0022":
        migrate(owner_dsn, "-1")
    with psycopg.connect(superuser) as connection:
        connection.execute("UPDATE collection SET text_mode = 'encrypted_text'")
    with pytest.raises(Exception, match="there are collections with encrypted_text"):
        migrate(owner_dsn, "-1")
    assert revision_of(owner_dsn) == "0022"
    with psycopg.connect(superuser) as connection:
        connection.execute("UPDATE collection SET text_mode = 'full'")
    migrate(owner_dsn, "-1")
    migrate(owner_dsn)
    make_tenant(superuser)


@pytest.mark.parametrize(
    "mixture",
    [
        "UPDATE chunk SET text_key_id = gen_random_uuid(), sealed_text = 'x'",
        "UPDATE chunk SET text = '', headings = '{}', sealed_text = 'x'",
        "UPDATE chunk SET text = '', headings = '{}', text_key_id = gen_random_uuid()",
    ],
)
def test_no_passage_is_sealed_and_in_the_clear(postgres_dsn: str, mixture: str) -> None:
    """What a mistake of ours would write, PostgreSQL refuses."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET session_replication_role = replica")  # a chunk without its file
        connection.execute(
            "INSERT INTO chunk (id, tenant_id, file_id, version_id, ordinal, text, text_hash,"
            " token_count, headings, pages, boxes, created_at)"
            " SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 0,"
            " 'the lease', '', 1, ARRAY['Leases'], '{}', '[]', now()"
        )
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(mixture)
        connection.rollback()


def test_a_collection_has_a_mode_that_is_known(postgres_dsn: str) -> None:
    tenant = make_tenant(postgres_dsn)
    with (
        psycopg.connect(postgres_dsn) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute(
            "UPDATE collection SET text_mode = 'sealed' WHERE id = %s", (tenant.collection_id,)
        )


@pytest.mark.parametrize("mode", ["full", "encrypted_text"])
async def test_a_file_stays_in_collections_of_its_mode(
    postgres_dsn: str, database: Database, mode: str
) -> None:
    """Whichever code moves it."""
    tenant = make_tenant(postgres_dsn)
    other = Collection(tenant_id=tenant.tenant_id, name="other", text_mode=mode)
    published = await publish_file(database, tenant.access, tenant.collection_id, ["a lease"])
    move = update(File).where(col(File.id) == published.file_id).values(collection_id=other.id)
    async with database.transaction(tenant.system) as session:
        session.add(other)
    moving = nullcontext() if mode == "full" else pytest.raises(IntegrityError, match="text mode")
    with moving:
        async with database.transaction(tenant.system) as session:
            await session.execute(move)
