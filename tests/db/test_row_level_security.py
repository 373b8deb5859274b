"""What the database itself refuses, whatever the code above it forgets."""

from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from db.audit import Act, record
from db.models import Collection, File, new_id
from db.session import Access, Database
from tests.conftest import TenantFixture, make_tenant


async def make_file(
    database: Database, tenant: TenantFixture, *, owner_id: UUID | None, collection_id: UUID
) -> UUID:
    file_id = new_id()
    async with database.transaction(tenant.system) as session:
        session.add(
            File(
                id=file_id,
                tenant_id=tenant.tenant_id,
                collection_id=collection_id,
                owner_id=owner_id,
                name="note.txt",
                state="received",
                media_type="text/plain",
            )
        )
    return file_id


async def visible(database: Database, access: Access, level: str = "read") -> set[UUID]:
    async with database.transaction(access) as session:
        rows = await session.execute(text("SELECT visible_files(:level)"), {"level": level})
        return {row[0] for row in rows}


def test_every_table_forces_row_level_security(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        unguarded = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE nspname = 'public' AND relkind = 'r' AND relname <> 'alembic_version'"
            " AND NOT (relrowsecurity AND relforcerowsecurity)"
        ).fetchall()
    assert unguarded == []


def test_the_application_role_owns_and_bypasses_nothing(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = 'muniment_app'"
        ).fetchone()
        owned = connection.execute(
            "SELECT count(*) FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner"
            " WHERE rolname = 'muniment_app'"
        ).fetchone()
    assert role == (False, False, False)
    assert owned == (0,)


async def test_a_tenant_sees_only_its_own_rows(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    mine = await make_file(database, tenant, owner_id=None, collection_id=tenant.collection_id)
    assert mine in await visible(database, tenant.access)
    assert await visible(database, other_tenant.access) == set()
    async with database.transaction(other_tenant.system) as session:
        assert (await session.execute(text("SELECT count(*) FROM file"))).scalar() == 0


async def test_a_row_for_another_tenant_is_refused(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.transaction(other_tenant.system) as session:
            session.add(Collection(tenant_id=tenant.tenant_id, name="stolen"))


async def test_without_a_tenant_nothing_is_seen(database: Database, tenant: TenantFixture) -> None:
    await make_file(database, tenant, owner_id=None, collection_id=tenant.collection_id)
    async with database.across_tenants() as session:
        assert (await session.execute(text("SELECT count(*) FROM file"))).scalar() == 0
        assert (await session.execute(text("SELECT count(*) FROM tenant"))).scalar() == 0


async def test_a_private_collection_is_for_its_owner_and_its_grants(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    owner = make_tenant(postgres_dsn, tenant.name, principal="owner", is_admin=False)
    reader = make_tenant(postgres_dsn, tenant.name, principal="reader", is_admin=False)
    async with database.transaction(tenant.system) as session:
        private = Collection(tenant_id=tenant.tenant_id, name="private", visibility="private")
        session.add(private)
    file_id = await make_file(
        database, tenant, owner_id=owner.principal_id, collection_id=private.id
    )

    assert await visible(database, owner.access, "manage") == {file_id}
    assert await visible(database, reader.access) == set()
    assert file_id in await visible(database, tenant.access, "manage"), "administrators see all"

    async with database.transaction(tenant.system) as session:
        await session.execute(
            text(
                "INSERT INTO access_grant (id, tenant_id, principal_id, file_id, level, created_at)"
                " VALUES (:id, :tenant, :principal, :file, 'write', now())"
            ),
            {
                "id": new_id(),
                "tenant": tenant.tenant_id,
                "principal": reader.principal_id,
                "file": file_id,
            },
        )
    assert await visible(database, reader.access, "read") == {file_id}
    assert await visible(database, reader.access, "write") == {file_id}
    assert await visible(database, reader.access, "manage") == set()


async def test_who_owns_a_private_collection_reads_what_others_put_there(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    owner = make_tenant(postgres_dsn, tenant.name, principal="owner", is_admin=False)
    other = make_tenant(postgres_dsn, tenant.name, principal="other", is_admin=False)
    async with database.transaction(tenant.system) as session:
        own = Collection(
            tenant_id=tenant.tenant_id,
            name="own",
            visibility="private",
            owner_id=owner.principal_id,
        )
        session.add(own)
    file_id = await make_file(database, tenant, owner_id=tenant.principal_id, collection_id=own.id)
    assert await visible(database, owner.access) == {file_id}
    assert await visible(database, owner.access, "write") == set()
    assert await visible(database, other.access) == set()


async def test_the_audit_trail_can_only_grow(database: Database, tenant: TenantFixture) -> None:
    async with database.transaction(tenant.access) as session:
        record(session, Act("file.read", "file", new_id(), tenant.tenant_id))
    for statement in ("UPDATE audit_event SET action = 'x'", "DELETE FROM audit_event"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with database.transaction(tenant.access) as session:
                await session.execute(text(statement))


async def test_a_key_opens_its_tenant_until_it_is_revoked(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    from muniment.api_keys import hash_api_key, is_well_formed

    assert is_well_formed(tenant.api_key)
    assert not is_well_formed(tenant.api_key[:-1] + "!")
    lookup = text("SELECT tenant_id, principal_id FROM authenticate_api_key(:hash)")
    key_hash = hash_api_key(tenant.api_key)
    async with database.across_tenants() as session:
        row = (await session.execute(lookup, {"hash": key_hash})).one()
    assert row == (tenant.tenant_id, tenant.principal_id)

    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE api_key SET revoked_at = now() WHERE key_hash = %s", (key_hash,))
    async with database.across_tenants() as session:
        assert (await session.execute(lookup, {"hash": key_hash})).one_or_none() is None
