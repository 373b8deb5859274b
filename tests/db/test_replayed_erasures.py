"""What was erased after a backup is erased again when the backup is restored, and shown to nobody before."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from activities.erasure.ledger import ErasureLedger
from db.models import Erasure, File, new_id
from db.queries import erasure_replay
from db.replayed_erasures import LEDGER, ErasureReplay
from db.session import Database
from muniment import erasure_ledger
from muniment.erasure_ledger import LedgerMark, parts_behind
from muniment.errors import KeyManagementUnavailable
from muniment.stores import ERASURE_LEDGER
from tests.conftest import REPOSITORY, TenantFixture
from tests.db.held import add_hold
from tests.worker.jobs import commit_job


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / LEDGER


async def files(database: Database, tenant: TenantFixture, count: int) -> list[UUID]:
    """Files whose ingestion is over."""
    found = [(await commit_job(database, tenant, startable=False)).file_id for _ in range(count)]
    async with database.transaction(tenant.system) as session:
        for file_id in found:
            file = await session.get_one(File, file_id)
            file.state = "ready"
    return found


async def states(
    database: Database, tenant: TenantFixture, file_ids: Sequence[UUID]
) -> dict[UUID, str]:
    async with database.transaction(tenant.system) as session:
        return {each: (await session.get_one(File, each)).state for each in file_ids}


async def mark(database: Database) -> LedgerMark:
    async with database.across_tenants() as session:
        return await erasure_replay.mark(session)


def rows(dsn: str, query: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode(), values).fetchall()


async def test_what_the_ledger_has_and_the_database_shows_is_ordered_again_once(
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    postgres_dsn: str,
    path: Path,
) -> None:
    erased, destroyed, kept = await files(database, tenant, 3)
    [of_another] = await files(database, other_tenant, 1)
    ledger, replay = ErasureLedger(path), ErasureReplay(database, path)
    await ledger.append(tenant.tenant_id, erased, [new_id(), None])
    # Killed behind the point of no return: its keys are gone as well.
    await ledger.append(tenant.tenant_id, destroyed, [new_id()])
    # A file of another tenant is none of this one's.
    await ledger.append(tenant.tenant_id, of_another, [None])
    assert await replay.is_behind()

    assert await replay.replay() == 2
    assert await replay.replay() == 0, "they are under way"
    assert not await replay.is_behind()
    shown = await states(database, tenant, [erased, destroyed, kept])
    assert shown == {erased: "erasing", destroyed: "erasing", kept: "ready"}
    assert await states(database, other_tenant, [of_another]) == {of_another: "ready"}
    [at, *_] = [json.loads(line)["at"] for line in path.read_text().splitlines()][1:]
    events = rows(
        postgres_dsn,
        "SELECT payload ->> 'first_erased_at', payload ->> 'state' FROM audit_event"
        " WHERE object_id = %s AND action = 'file.erasure_replayed'",
        erased,
    )
    assert events == [(at, "executing")]


async def test_one_whose_job_failed_is_ordered_once_more_and_keeps_nobody_out(
    database: Database, tenant: TenantFixture, postgres_dsn: str, path: Path
) -> None:
    [file_id] = await files(database, tenant, 1)
    replay = ErasureReplay(database, path)
    await ErasureLedger(path).append(tenant.tenant_id, file_id, [None])
    assert await replay.replay() == 1
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', finished_at = now() WHERE kind = 'erase_file' AND file_id = %s",
            (file_id,),
        )
    assert not await replay.is_behind()
    assert await replay.replay() == 1


async def test_what_the_restored_database_holds_is_restricted(
    database: Database, tenant: TenantFixture, path: Path
) -> None:
    [file_id] = await files(database, tenant, 1)
    async with database.transaction(tenant.system) as session:
        await add_hold(session, tenant, file_id)
    replay = ErasureReplay(database, path)
    await ErasureLedger(path).append(tenant.tenant_id, file_id, [None])
    assert await replay.replay() == 1
    assert await states(database, tenant, [file_id]) == {file_id: "restricted"}
    assert not await replay.is_behind()


async def test_only_what_stands_behind_the_mark_is_read(
    database: Database, tenant: TenantFixture, postgres_dsn: str, path: Path
) -> None:
    first, second = await files(database, tenant, 2)
    ledger, replay = ErasureLedger(path), ErasureReplay(database, path)
    await ledger.append(tenant.tenant_id, first, [None])
    erase = "UPDATE file SET state = 'erased' WHERE id = %s"
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(erase, (first,))
    assert not await replay.is_behind()
    reached = await mark(database)
    assert reached.offset_bytes == path.stat().st_size
    await ledger.append(tenant.tenant_id, second, [None])
    assert [part.entries[0].file_id for part in parts_behind(path, reached)] == [second]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE file SET state = 'erasing' WHERE id = %s", (second,))
    assert not await replay.is_behind()
    assert await mark(database) == reached, "what is under way may be lost, and is looked at again"


def test_a_ledger_that_the_mark_is_not_of_is_read_from_its_beginning(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure_ledger, "LINES_AT_ONCE", 2)
    lines = [
        json.dumps(
            {
                "at": "2026-01-31T12:00:00+00:00",
                "tenant_id": str(new_id()),
                "file_id": str(new_id()),
            }
        )
        for _ in range(5)
    ]
    path.write_text("\n".join([*lines[:3], lines[3][:40], lines[4], '{"half']))
    parts = list(parts_behind(path, LedgerMark()))
    # The half line in the middle is of a writer that was killed, the last one is being written.
    assert [len(part.entries) for part in parts] == [2, 1, 1]
    end = parts[-1].end
    assert list(parts_behind(path, end)) == []
    for other in (
        LedgerMark(end.offset_bytes, b"another"),
        LedgerMark(end.offset_bytes - 1, end.line_hash),
        LedgerMark(end.offset_bytes * 9, end.line_hash),
    ):
        assert list(parts_behind(path, other)) == parts
    path.unlink()
    assert list(parts_behind(path, end)) == []


async def test_a_ledger_that_cannot_be_read_opens_nothing(database: Database, path: Path) -> None:
    path.mkdir()
    with pytest.raises(KeyManagementUnavailable, match="cannot be read"):
        await ErasureReplay(database, path).is_behind()


async def test_the_command_says_how_many(
    database: Database, tenant: TenantFixture, application_dsn: str, tmp_path: Path
) -> None:
    assert LEDGER == ERASURE_LEDGER
    [file_id] = await files(database, tenant, 1)
    await ErasureLedger(tmp_path / LEDGER).append(tenant.tenant_id, file_id, [None])
    environment = {
        "PATH": "/usr/bin:/bin",
        "MUNIMENT_DATABASE__URL": application_dsn,
        "MUNIMENT_KEYS__ROOT": str(tmp_path),
    }
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "db.replayed_erasures"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout) == (0, "1 files are erased again\n"), ran.stderr
    async with database.transaction(tenant.system) as session:
        [erasure] = [
            each
            for each in (await session.run_sync(lambda s: s.query(Erasure).all()))
            if each.file_id == file_id
        ]
    assert erasure.first_erased_at is not None
