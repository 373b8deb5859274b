"""Quotas in the database: counted with the rows, refused in turn, set by the operator alone."""

import asyncio
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from db.ingestions import Origin, new_ingestion
from db.migrate import migrate
from db.models import File, FileVersion, new_id, now
from db.queries import uploads
from db.queries.erasure import finish_erasure
from db.queries.quotas import Amounts, Quota, count_pages, standing_of, take_turn
from db.quotas import get_standing, main, recount, set_quota
from db.session import Database, at_last
from muniment.contracts.erase_file import EraseFileInput
from muniment.errors import ConfigurationError, DatabaseUnavailable, QuotaExceeded
from muniment.objects import SealedBlob
from tests.conftest import TenantFixture, make_database, make_tenant
from tests.patience import on_a_busy_machine

UNLIMITED = Quota()


async def keep(
    database: Database,
    tenant: TenantFixture,
    size: int,
    default: Quota = UNLIMITED,
    file_id: UUID | None = None,
) -> FileVersion:
    """A new file of that size, or a version of one that is there."""
    async with database.transaction(tenant.system) as session:
        return await add_to(session, tenant, size, default, file_id)


async def add_to(
    session: AsyncSession,
    tenant: TenantFixture,
    size: int,
    default: Quota = UNLIMITED,
    file_id: UUID | None = None,
) -> FileVersion:
    """As `keep`, in a transaction that goes on."""
    sealed = SealedBlob(new_id(), size, new_id().bytes * 2, new_id().bytes)
    blob_id = await uploads.adopt_content(session, tenant.tenant_id, sealed)
    version = FileVersion(
        tenant_id=tenant.tenant_id, file_id=file_id or new_id(), number=1, blob_id=blob_id,
        name="a", size=size, sha256=b"", declared_media_type="text/plain",
    )  # fmt: skip
    if file_id is not None:
        version.number = 2
        await uploads.add_version(session, version, default)
        return version
    file = File(
        id=version.file_id, tenant_id=tenant.tenant_id, collection_id=tenant.collection_id,
        name="a", state="received", media_type="text/plain",
    )  # fmt: skip
    await uploads.add_file(session, file, version, default)
    return version


async def used(database: Database, tenant: TenantFixture) -> Amounts:
    async with database.transaction(tenant.system) as session:
        return (await standing_of(session, UNLIMITED)).used


async def erase(database: Database, tenant: TenantFixture, file_id: UUID) -> None:
    request = EraseFileInput(tenant_id=tenant.tenant_id, file_id=file_id, job_id=new_id())
    async with database.transaction(tenant.system) as session:
        await finish_erasure(session, request)


async def test_what_is_kept_is_counted_until_it_is_erased(
    database: Database, tenant: TenantFixture
) -> None:
    assert await used(database, tenant) == Amounts()
    first = await keep(database, tenant, 10)
    second = await keep(database, tenant, 100)
    await keep(database, tenant, 1_000, file_id=first.file_id)
    async with database.transaction(tenant.system) as session:
        await count_pages(session, first.id, 7, UNLIMITED)
    assert await used(database, tenant) == Amounts(bytes=1_110, files=2, pages=7)
    for _ in range(2):
        # An erasure that is repeated gives nothing back a second time.
        await erase(database, tenant, first.file_id)
        assert await used(database, tenant) == Amounts(bytes=100, files=1, pages=0)
    await erase(database, tenant, second.file_id)
    assert await used(database, tenant) == Amounts()


async def test_pages_of_a_version_count_once(database: Database, tenant: TenantFixture) -> None:
    version = await keep(database, tenant, 1)
    limited = Quota(max_pages=10)
    for pages in (8, 8, 10, 3):
        async with database.transaction(tenant.system) as session:
            await count_pages(session, version.id, pages, limited)
        assert (await used(database, tenant)).pages == pages
    with pytest.raises(QuotaExceeded, match="keeps 3 of 10 pages, and this needs 8 more"):
        async with database.transaction(tenant.system) as session:
            await count_pages(session, version.id, 11, limited)
    assert (await used(database, tenant)).pages == 3


@pytest.mark.parametrize(
    ("default", "what"),
    [(Quota(max_bytes=30), "bytes"), (Quota(max_files=3), "files")],
    ids=["bytes", "files"],
)
async def test_of_many_at_once_no_more_are_taken_than_fit(
    database: Database, tenant: TenantFixture, default: Quota, what: str
) -> None:
    outcomes = await asyncio.gather(
        *(keep(database, tenant, 10, default) for _ in range(8)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, BaseException)]
    assert len(refused) == 5
    for error in refused:
        assert isinstance(error, QuotaExceeded)
        assert what in error.detail
    assert await used(database, tenant) == Amounts(bytes=30, files=3)


async def test_what_is_done_at_last_is_done_behind_what_is_still_to_be_written(
    database: Database, tenant: TenantFixture
) -> None:
    version = await keep(database, tenant, 1)
    pending: list[bool] = []
    async with database.transaction(tenant.system) as session:

        async def look() -> None:
            pending.append(bool(session.new))

        at_last(session, look)
        session.add(
            FileVersion(
                tenant_id=tenant.tenant_id, file_id=version.file_id, number=2,
                blob_id=version.blob_id, name="a", size=1, sha256=b"",
                declared_media_type="text/plain",
            )
        )  # fmt: skip
    assert pending == [False]


async def test_a_refused_upload_leaves_no_row(database: Database, tenant: TenantFixture) -> None:
    with pytest.raises(QuotaExceeded):
        await keep(database, tenant, 10, Quota(max_bytes=9))
    async with database.transaction(tenant.system) as session:
        for table in ("file", "file_version", "blob"):
            count = await session.scalar(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
            assert count == 0, table


async def test_a_quota_of_its_own_takes_the_place_of_the_default(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture, postgres_dsn: str
) -> None:
    default = Quota(max_bytes=5)
    set_quota(postgres_dsn, tenant.name, Quota(max_files=1))
    await keep(database, tenant, 10, default)
    with pytest.raises(QuotaExceeded, match="keeps 1 of 1 files"):
        await keep(database, tenant, 1, default)
    with pytest.raises(QuotaExceeded, match="bytes"):
        await keep(database, other_tenant, 10, default)
    set_quota(postgres_dsn, tenant.name, None)
    with pytest.raises(QuotaExceeded, match="keeps 10 of 5 bytes"):
        await keep(database, tenant, 1, default)
    assert get_standing(postgres_dsn, tenant.name, default).used == Amounts(10, 1, 0)
    with psycopg.connect(postgres_dsn) as connection:
        audited = connection.execute(
            "SELECT payload FROM audit_event WHERE tenant_id = %s AND action = 'quota.set'"
            " ORDER BY at",
            (tenant.tenant_id,),
        ).fetchall()
    assert [payload for (payload,) in audited] == [
        {"bytes": None, "files": 1, "pages": None},
        {"default": True},
    ]


async def test_the_application_cannot_write_a_quota(
    database: Database, tenant: TenantFixture
) -> None:
    with pytest.raises(ProgrammingError) as refused:
        async with database.transaction(tenant.access) as session:
            await session.execute(
                text("INSERT INTO tenant_quota (tenant_id, updated_at) VALUES (:id, :at)"),
                {"id": tenant.tenant_id, "at": now()},
            )
    assert isinstance(refused.value.orig, InsufficientPrivilege)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenant_usage SET bytes = 0",
        "DELETE FROM tenant_usage",
        "INSERT INTO tenant_usage SELECT current_tenant(), 0, 0, 0",
        "SELECT add_to_usage(current_tenant(), -10, -1, 0)",
        # A trigger on a table of its own would count what it likes.
        "CREATE TRIGGER counted AFTER INSERT ON its_own FOR EACH ROW"
        " EXECUTE FUNCTION count_version()",
    ],
)
async def test_the_application_cannot_write_what_is_kept(
    database: Database, tenant: TenantFixture, statement: str
) -> None:
    await keep(database, tenant, 10)
    async with database.transaction(tenant.access) as session:
        own_table = "CREATE TEMPORARY TABLE its_own ON COMMIT DROP AS SELECT * FROM file_version"
        await session.execute(text(own_table))
        with pytest.raises(ProgrammingError) as refused:
            await session.execute(text(statement))
    assert isinstance(refused.value.orig, InsufficientPrivilege)
    assert await used(database, tenant) == Amounts(bytes=10, files=1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE file_version SET size = 100",
        "UPDATE file_version SET file_id = (SELECT id FROM file WHERE state = 'received')",
        "UPDATE file_version SET counted_pages = -1",
        "INSERT INTO file_version (id, tenant_id, file_id, number, blob_id, name, size, sha256,"
        " declared_media_type, created_at) SELECT gen_random_uuid(), tenant_id, file_id, 2, blob_id,"
        " name, -1, sha256, '', created_at FROM file_version",
    ],
)
async def test_what_is_kept_is_counted_as_it_came(
    database: Database, tenant: TenantFixture, statement: str
) -> None:
    await keep(database, tenant, 10)
    gone = await keep(database, tenant, 5)
    await erase(database, tenant, gone.file_id)
    with pytest.raises(IntegrityError):
        async with database.transaction(tenant.access) as session:
            await session.execute(text(statement))
    assert await used(database, tenant) == Amounts(bytes=10, files=1)


async def test_what_is_kept_is_given_back_once(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    kept, gone = await keep(database, tenant, 10), await keep(database, tenant, 5)
    async with database.transaction(tenant.system) as session:
        await count_pages(session, kept.id, 7, UNLIMITED)
        await count_pages(session, gone.id, 3, UNLIMITED)
    for _ in range(2):
        await change(database, tenant, "UPDATE file SET state = 'erased' WHERE id = :id", gone)
        await change(
            database, tenant, "UPDATE file_version SET counted_pages = 0 WHERE id = :version", gone
        )
        assert await used(database, tenant) == Amounts(bytes=10, files=1, pages=7)
        await change(database, tenant, "UPDATE file SET state = 'ready' WHERE id = :id", gone)
        assert await used(database, tenant) == Amounts(bytes=15, files=2, pages=7)
    counted, summed = recount(postgres_dsn, tenant.name)
    assert counted == summed


async def change(
    database: Database, tenant: TenantFixture, statement: str, version: FileVersion
) -> None:
    """As the application may."""
    async with database.transaction(tenant.access) as session:
        parameters = {"id": version.file_id, "version": version.id}
        await session.execute(
            text(statement),
            {key: value for key, value in parameters.items() if f":{key}" in statement},
        )


async def test_what_is_added_and_erased_in_one_transaction_is_given_back(
    database: Database, tenant: TenantFixture
) -> None:
    kept = await keep(database, tenant, 10)
    erased = {"id": kept.file_id}
    async with database.transaction(tenant.system) as session:
        await add_to(session, tenant, 100, file_id=kept.file_id)
        file_id = (await add_to(session, tenant, 1_000)).file_id
        for gone in (kept.file_id, file_id):
            await session.execute(
                text("UPDATE file SET state = 'erased' WHERE id = :id"), {"id": gone}
            )
    assert await used(database, tenant) == Amounts()
    async with database.transaction(tenant.system) as session:
        # A version of an erased file counts once the file is none any more.
        await session.execute(
            text("UPDATE file_version SET number = 3 WHERE file_id = :id AND number = 2"), erased
        )
        await add_to(session, tenant, 5, file_id=kept.file_id)
        await session.execute(text("UPDATE file SET state = 'ready' WHERE id = :id"), erased)
    assert await used(database, tenant) == Amounts(bytes=115, files=1)


async def test_all_that_a_transaction_adds_has_to_fit(
    database: Database, tenant: TenantFixture
) -> None:
    async def add_twice() -> None:
        async with database.transaction(tenant.system) as session:
            for _ in range(2):
                await add_to(session, tenant, 10, Quota(max_bytes=15))

    with pytest.raises(QuotaExceeded, match="keeps 0 of 15 bytes, and this needs 20 more"):
        await add_twice()
    assert await used(database, tenant) == Amounts()


async def test_who_adds_keeps_nobody_waiting_before_its_end(
    database: Database, tenant: TenantFixture
) -> None:
    await keep(database, tenant, 1)
    async with database.transaction(tenant.system) as session:
        await add_to(session, tenant, 10)
        async with asyncio.timeout(on_a_busy_machine(10)):
            await keep(database, tenant, 100)
        assert await used(database, tenant) == Amounts(bytes=101, files=2)
    assert await used(database, tenant) == Amounts(bytes=111, files=3)


async def test_what_is_kept_is_counted_anew(
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = await keep(database, tenant, 10)
    await keep(database, tenant, 5, file_id=first.file_id)
    gone = await keep(database, tenant, 100)
    await keep(database, other_tenant, 1_000)
    async with database.transaction(tenant.system) as session:
        await count_pages(session, first.id, 7, UNLIMITED)
    await erase(database, tenant, gone.file_id)
    assert recount(postgres_dsn, tenant.name) == (Amounts(15, 1, 7), Amounts(15, 1, 7))
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE tenant_usage SET bytes = 3, pages = 9 WHERE tenant_id = %s",
            (tenant.tenant_id,),
        )
    monkeypatch.setenv("MUNIMENT_DATABASE__OWNER_URL", postgres_dsn)
    assert main(["--tenant", tenant.name, "--recount"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "bytes: 3 were counted, 15 are kept\npages: 9 were counted, 7 are kept\n"
    )
    assert await used(database, tenant) == Amounts(bytes=15, files=1, pages=7)
    assert await used(database, other_tenant) == Amounts(bytes=1_000, files=1)


async def test_an_owner_who_is_no_superuser_counts_all_that_is_kept(owner_dsn: str) -> None:
    superuser = f"postgresql://postgres@{owner_dsn.partition('@')[2]}"
    tenant = make_tenant(superuser)
    database = Database(superuser.replace("//postgres@", "//muniment_app@"))
    kept = await keep(database, tenant, 10)
    gone = await keep(database, tenant, 100)
    async with database.transaction(tenant.system) as session:
        await count_pages(session, kept.id, 7, UNLIMITED)
        await count_pages(session, gone.id, 70, UNLIMITED)
    await erase(database, tenant, gone.file_id)
    assert await used(database, tenant) == Amounts(10, 1, 7)
    await database.close()
    assert recount(owner_dsn, tenant.name) == (Amounts(10, 1, 7), Amounts(10, 1, 7))


async def test_after_a_downgrade_the_application_counts_what_is_kept(owner_dsn: str) -> None:
    """As it did before the schema's own functions alone could."""
    superuser = f"postgresql://postgres@{owner_dsn.partition('@')[2]}"
    tenant = make_tenant(superuser)
    migrate(owner_dsn, "0024-1")
    with psycopg.connect(superuser.replace("//postgres@", "//muniment_app@")) as connection:
        connection.execute("SELECT set_config('app.tenant', %s, true)", (str(tenant.tenant_id),))
        for statement in (
            "INSERT INTO file (id, tenant_id, collection_id, name, state, media_type,"
            " current_version, degraded, revision, created_at, updated_at)"
            " SELECT gen_random_uuid(), tenant_id, id, 'a', 'received', 'text/plain', 1, false, 1,"
            " now(), now() FROM collection LIMIT 1",
            "UPDATE tenant_usage SET bytes = bytes + 1",
        ):
            assert connection.execute(statement.encode()).rowcount == 1
    migrate(owner_dsn)
    assert recount(owner_dsn, tenant.name) == (Amounts(bytes=1, files=1), Amounts(files=1))


async def test_whoever_adds_while_it_is_counted_anew_is_counted(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    await keep(database, tenant, 10)
    async with database.transaction(tenant.system) as adding:
        await take_turn(adding, UNLIMITED)
        counting = asyncio.create_task(asyncio.to_thread(recount, postgres_dsn, tenant.name))
        later = asyncio.create_task(keep(database, tenant, 100))
        await asyncio.sleep(0.5)
        assert not counting.done()
    await asyncio.gather(counting, later)
    assert await used(database, tenant) == Amounts(bytes=110, files=2)


async def test_of_many_read_at_once_no_more_pages_are_taken_than_fit(
    database: Database, tenant: TenantFixture
) -> None:
    versions = [await keep(database, tenant, 1) for _ in range(6)]

    async def read(version: FileVersion) -> None:
        async with database.transaction(tenant.system) as session:
            await count_pages(session, version.id, 3, Quota(max_pages=10))

    outcomes = await asyncio.gather(*map(read, versions), return_exceptions=True)
    refused = [each for each in outcomes if each is not None]
    assert len(refused) == 3
    assert all(isinstance(each, QuotaExceeded) for each in refused)
    assert (await used(database, tenant)).pages == 9


async def test_who_does_not_get_its_turn_gives_its_connection_back(
    database: Database, tenant: TenantFixture
) -> None:
    await keep(database, tenant, 1)
    async with database.transaction(tenant.system) as stopped:
        await take_turn(stopped, UNLIMITED)
        async with asyncio.timeout(on_a_busy_machine(10)):
            with pytest.raises(DatabaseUnavailable):
                await keep(database, tenant, 1)
    await keep(database, tenant, 1)


async def test_a_tenant_sees_its_own_standing_alone(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture, postgres_dsn: str
) -> None:
    await keep(database, tenant, 10)
    set_quota(postgres_dsn, tenant.name, Quota(max_bytes=20))
    async with database.transaction(other_tenant.system) as session:
        standing = await standing_of(session, UNLIMITED)
        rows = [
            await session.scalar(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
            for table in ("tenant_quota", "tenant_usage")
        ]
    assert (standing.used, standing.quota) == (Amounts(), UNLIMITED)
    assert rows == [0, 0]


def test_the_command_sets_and_shows(
    postgres_dsn: str,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MUNIMENT_DATABASE__OWNER_URL", postgres_dsn)
    monkeypatch.setenv("MUNIMENT_QUOTAS__MAX_PAGES", "12")
    named = ["--tenant", tenant.name]
    for arguments, shown in (
        (named, "bytes: 0 of any\nfiles: 0 of any\npages: 0 of 12\n"),
        (
            [*named, "--bytes", "0", "--files", "3"],
            "bytes: 0 of 0\nfiles: 0 of 3\npages: 0 of 12\n",
        ),
        # What is not named stays; only who says so lifts a limit.
        ([*named, "--pages", "none"], "bytes: 0 of 0\nfiles: 0 of 3\npages: 0 of any\n"),
        ([*named, "--files", "4"], "bytes: 0 of 0\nfiles: 0 of 4\npages: 0 of any\n"),
        ([*named, "--default"], "bytes: 0 of any\nfiles: 0 of any\npages: 0 of 12\n"),
    ):
        assert main(arguments) == 0
        assert capsys.readouterr().out == shown
    for wrong in (["--bytes", "-1"], ["--bytes", str(2**63)], ["--default", "--files", "1"]):
        with pytest.raises(SystemExit):
            main([*named, *wrong])
    with pytest.raises(ConfigurationError, match="no tenant"):
        main(["--tenant", "nobody", "--bytes", "1"])


async def test_what_was_kept_before_the_upgrade_is_counted(postgres_server: str) -> None:
    dsn = make_database(postgres_server)
    tenant = make_tenant(dsn)
    database = Database(dsn.replace("//postgres:@", "//muniment_app@"))
    await keep(database, tenant, 10)
    begun = await keep(database, tenant, 1_000)
    gone = await keep(database, tenant, 100)
    async with database.transaction(tenant.system) as session:
        await session.execute(text("UPDATE file_version SET page_count = 4"))
        # Its pages were counted before the upgrade, and nothing is published yet.
        job = new_ingestion(Origin(tenant.tenant_id, tenant.principal_id), begun)
        job.pages_total = 6
        session.add(job)
        await session.execute(
            text("UPDATE file_version SET page_count = NULL WHERE id = :id"), {"id": begun.id}
        )
    await erase(database, tenant, gone.file_id)
    await database.close()
    migrate(dsn, "0018-1")
    migrate(dsn)
    assert get_standing(dsn, tenant.name, UNLIMITED).used == Amounts(bytes=1_010, files=2, pages=10)
