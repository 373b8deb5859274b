"""Unfinished uploads end by their tenant's timer, soon after their time has run out and never before."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text, update
from sqlmodel import col
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import ActivityEnvironment

from activities.uploads.activity import UploadExpiry
from db.models import Upload, new_id, now
from db.queries import resumable_uploads
from db.queries.resumable_uploads import OpenUploads, UploadState
from db.session import Access, Database
from muniment.contracts import queues
from muniment.contracts.expire_uploads import WAKE, ExpireUploadsInput, workflow_id
from muniment.errors import ObjectStoreUnavailable
from muniment.objects import BlobStore
from tests.conftest import REPOSITORY, make_tenant
from tests.patience import on_a_busy_machine
from tests.workflows.test_verify_integrity import rows
from tests.workflows.workshop import TenantIds, Workshop
from worker.spent_uploads import SpentUploads
from worker.upload_timers import UploadTimers

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY = (queues.WORKFLOWS,)
ANY = OpenUploads(1_000_000, 1 << 50)
HOUR = timedelta(hours=1)
SOON = timedelta(seconds=1.5)
PATIENCE_SECONDS = 60.0


@pytest.fixture(autouse=True)
def no_other_timers(postgres_dsn: str) -> None:
    """Rounds look at all tenants, those of other tests among them."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DELETE FROM upload_timer")


async def begun(
    workshop: Workshop, owner: TenantIds, expires_in: timedelta, parts: int = 2
) -> Upload:
    """An upload of which so many parts came, as the API keeps it."""
    upload = Upload(
        id=new_id(),
        tenant_id=owner.tenant_id,
        principal_id=owner.principal_id,
        state=UploadState.OPEN,
        size=1_000,
        described="filename cGF5LnBkZg==",
        expires_at=now() + expires_in,
    )
    sealed = [await workshop.stores.blobs.put_bytes(owner.tenant_id, b"part") for _ in range(parts)]
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await resumable_uploads.add_open(session, upload, ANY)
        await resumable_uploads.append_parts(session, upload, sealed, upload.expires_at)
    return upload


async def change(workshop: Workshop, upload: Upload, **values: datetime | UUID | None) -> None:
    async with workshop.database.transaction(Access(upload.tenant_id)) as session:
        await session.execute(update(Upload).where(col(Upload.id) == upload.id).values(**values))


async def present(workshop: Workshop, upload: Upload) -> Upload:
    async with workshop.database.transaction(Access(upload.tenant_id)) as session:
        return await session.get_one(Upload, upload.id)


async def eventually(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110 - what is waited for is in rows
            await asyncio.sleep(0.05)


def timers(workshop: Workshop, overdue: timedelta = HOUR) -> UploadTimers:
    return UploadTimers(workshop.database, workshop.client, overdue=overdue)


def handle(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    return workshop.client.get_workflow_handle(workflow_id(owner.tenant_id))


def objects(workshop: Workshop, owner: TenantIds) -> list[Path]:
    """Ciphertexts and wrapped keys of the tenant's."""
    roots = (workshop.settings.objects.root, workshop.settings.keys.root / "wrapped")
    found = [path for root in roots for path in (root / str(owner.tenant_id)).rglob("*")]
    return [path for path in found if path.is_file()]


async def is_expired(workshop: Workshop, upload: Upload) -> bool:
    found = await present(workshop, upload)
    return found.state == UploadState.EXPIRED and found.parts == 0


async def expired(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """A workflow that ended uploads, one after the other, and was woken for each."""
    later = await begun(workshop, owner, HOUR)
    async with workshop.working(names=ONLY):
        await timers(workshop).round()
        await eventually(lambda: is_set(workshop, owner))
        sooner = await begun(workshop, owner, SOON)
        await timers(workshop).round()
        await eventually(lambda: is_expired(workshop, sooner))
        await change(workshop, later, expires_at=now())
        await handle(workshop, owner).signal(WAKE)
        await handle(workshop, owner).result()
    return handle(workshop, owner)


async def test_an_upload_ends_when_its_time_has_run_out_and_leaves_nothing(
    workshop: Workshop, owner: TenantIds
) -> None:
    upload = await begun(workshop, owner, SOON)
    assert len(objects(workshop, owner)) == 4, "two parts and their keys"
    async with workshop.working(names=ONLY):
        assert await timers(workshop).round() >= 1
        await eventually(lambda: is_expired(workshop, upload))
        await handle(workshop, owner).result()
    ended = await present(workshop, upload)
    assert ended.closed_at is not None
    soon = timedelta(seconds=on_a_busy_machine(20))
    assert timedelta(0) <= ended.closed_at - upload.expires_at < soon
    assert ended.described == "", "what it was to be called is forgotten"
    assert objects(workshop, owner) == []
    assert await rows(workshop, owner, "upload_part") == []
    assert await rows(workshop, owner, "upload_timer") == []
    audited = await rows(workshop, owner, "audit_event WHERE action = 'upload.expired'")
    assert [each["object_id"] for each in audited] == [upload.id]


async def test_pieces_that_come_move_the_end_and_one_timer_is_enough_for_all(
    workshop: Workshop, owner: TenantIds
) -> None:
    going_on = await begun(workshop, owner, SOON)
    left = await begun(workshop, owner, SOON)
    await change(workshop, going_on, expires_at=now() + HOUR)
    async with workshop.working(names=ONLY):
        await timers(workshop).round()
        await eventually(lambda: is_expired(workshop, left))
        await eventually(lambda: is_set(workshop, owner))
        assert (await present(workshop, going_on)).parts == 2
        later = await begun(workshop, owner, 2 * HOUR)
        assert await timers(workshop).round() == 0, "the timer that is set wakes before that"
        await change(workshop, going_on, expires_at=now())
        await handle(workshop, owner).signal(WAKE)
        await eventually(lambda: is_expired(workshop, going_on))
        await eventually(lambda: is_due(workshop, later))
        assert (await present(workshop, later)).parts == 2


async def is_due(workshop: Workshop, upload: Upload) -> bool:
    """Whether the tenant's timer wakes for that upload."""
    owner = TenantIds(upload.tenant_id, upload.tenant_id, upload.principal_id)
    [timer] = await rows(workshop, owner, "upload_timer")
    return bool(timer["due_at"] == upload.expires_at)


async def test_who_sleeps_is_woken_by_an_upload_that_expires_sooner(
    workshop: Workshop, owner: TenantIds
) -> None:
    ended = await (await expired(workshop, owner)).describe()
    assert ended.status is WorkflowExecutionStatus.COMPLETED
    assert await rows(workshop, owner, "upload_timer") == []
    again = await begun(workshop, owner, timedelta(0))
    async with workshop.working(names=ONLY):
        await timers(workshop).round()
        await eventually(lambda: is_expired(workshop, again))


async def is_set(workshop: Workshop, owner: TenantIds) -> bool:
    return bool(await rows(workshop, owner, "upload_timer WHERE set_at IS NOT NULL"))


async def test_an_upload_of_which_a_file_is_made_is_left_to_whoever_makes_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    upload = await begun(workshop, owner, timedelta(0))
    await change(workshop, upload, joining_id=new_id(), joining_until=now() + HOUR)
    async with workshop.working(names=ONLY):
        await timers(workshop).round()
        await eventually(lambda: is_set(workshop, owner))
        found = await present(workshop, upload)
        assert (found.state, found.parts) == (UploadState.OPEN, 2)
        assert not resumable_uploads.has_expired(found)
        await SpentUploads(workshop.database, workshop.stores.blobs).round()
        assert (await present(workshop, upload)).parts == 2, "the net leaves it, too"
        await change(workshop, upload, joining_until=now())
        await handle(workshop, owner).signal(WAKE)
        await eventually(lambda: is_expired(workshop, upload))


async def test_a_timer_that_temporal_lost_is_set_again(
    workshop: Workshop, owner: TenantIds
) -> None:
    upload = await begun(workshop, owner, HOUR)
    async with workshop.working(names=ONLY):
        await timers(workshop).round()
        await eventually(lambda: is_set(workshop, owner))
        await handle(workshop, owner).terminate()
        assert await timers(workshop).round() == 0, "nobody knows yet"
        await change(workshop, upload, expires_at=now())
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await session.execute(text("UPDATE upload_timer SET due_at = now()"))
        assert await timers(workshop, overdue=timedelta(0)).round() == 1
        await eventually(lambda: is_expired(workshop, upload))
        await handle(workshop, owner).result()


async def test_of_several_workers_one_asks_for_a_timer(
    workshop: Workshop, owner: TenantIds
) -> None:
    await begun(workshop, owner, HOUR)
    woken = await asyncio.gather(*(timers(workshop).round() for _ in range(4)))
    assert sum(woken) == 1


def killed(workshop: Workshop, owner: TenantIds) -> None:
    """A process that looks once, and kills itself in the middle."""
    settings = workshop.settings
    ended = subprocess.run(
        [sys.executable, "-m", "tests.workflows.killed_expiry", str(owner.tenant_id)],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "MUNIMENT_DATABASE__URL": settings.database.url.get_secret_value(),
            "MUNIMENT_OBJECTS__ROOT": str(settings.objects.root),
            "MUNIMENT_KEYS__ROOT": str(settings.keys.root),
        },
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


async def test_who_comes_after_a_killed_worker_goes_on(
    workshop: Workshop, owner: TenantIds
) -> None:
    upload = await begun(workshop, owner, timedelta(0), parts=3)
    killed(workshop, owner)
    half = await present(workshop, upload)
    assert (half.state, half.parts) == (UploadState.EXPIRED, 3)
    assert len(objects(workshop, owner)) == 4, "one part is gone with its key"
    async with workshop.working(names=ONLY):
        await timers(workshop).round()
        await eventually(lambda: is_expired(workshop, upload))
    assert objects(workshop, owner) == []


class Stubborn(BlobStore):
    """Cannot destroy one blob, whose disk is away."""

    kept: UUID

    async def destroy(self, tenant_id: UUID, blob_id: UUID) -> None:
        if blob_id == self.kept:
            raise ObjectStoreUnavailable("the disk is away")
        await super().destroy(tenant_id, blob_id)


async def test_one_that_cannot_be_destroyed_holds_up_no_other_and_goes_by_the_rounds(
    workshop: Workshop, owner: TenantIds
) -> None:
    first = await begun(workshop, owner, timedelta(0), parts=1)
    second = await begun(workshop, owner, timedelta(0), parts=1)
    real = workshop.stores.blobs
    blobs = Stubborn(real._objects, real._keys, real._wrapped_keys)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        [part] = await resumable_uploads.parts_of(session, first.id)
    blobs.kept = part.blob_id
    replacing = [UploadExpiry(workshop.database, blobs).expire_uploads]
    async with workshop.working(names=ONLY, replacing=replacing):
        await timers(workshop).round()
        await eventually(lambda: is_expired(workshop, second))
        await handle(workshop, owner).result()
    assert (await present(workshop, first)).state == UploadState.EXPIRED
    assert objects(workshop, owner) != []
    await SpentUploads(workshop.database, real).round()
    assert objects(workshop, owner) == []


async def test_one_that_somebody_keeps_locked_holds_up_no_other(
    workshop: Workshop, owner: TenantIds, application_dsn: str
) -> None:
    first, second = [await begun(workshop, owner, timedelta(0)) for _ in range(2)]
    impatient = Database(application_dsn, statement_timeout_seconds=0.5)
    expiry = UploadExpiry(impatient, workshop.stores.blobs)
    request = ExpireUploadsInput(tenant_id=owner.tenant_id)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.get_one(Upload, first.id, with_for_update=True)
        found = await ActivityEnvironment().run(expiry.expire_uploads, request)
    await impatient.close()
    assert found.expired == 1
    assert (await present(workshop, first)).state == UploadState.OPEN
    assert await is_expired(workshop, second)


async def test_a_worker_whose_clock_is_slow_expires_what_the_database_says_is_due(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await begun(workshop, owner, timedelta(0))
    monkeypatch.setattr(resumable_uploads, "now", lambda: now() - HOUR)
    expiry = UploadExpiry(workshop.database, workshop.stores.blobs)
    request = ExpireUploadsInput(tenant_id=owner.tenant_id)
    found = await ActivityEnvironment().run(expiry.expire_uploads, request)
    assert (found.expired, found.next_in_seconds) == (1, None)
    assert await is_expired(workshop, upload)


async def test_a_tenants_expiry_leaves_other_tenants_alone(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    made = make_tenant(postgres_dsn)
    other = TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    foreign = await begun(workshop, other, timedelta(0))
    own = await begun(workshop, owner, timedelta(0))
    async with workshop.database.transaction(Access(other.tenant_id)) as session:
        await session.execute(text("UPDATE upload_timer SET asked_at = now()"))
    async with workshop.working(names=ONLY):
        await timers(workshop).round()
        await eventually(lambda: is_expired(workshop, own))
    assert (await present(workshop, foreign)).state == UploadState.OPEN


async def test_no_upload_waits_for_temporal_and_many_cost_one_workflow(
    workshop: Workshop, owner: TenantIds
) -> None:
    made = [await begun(workshop, owner, SOON + timedelta(milliseconds=each)) for each in range(40)]
    [timer] = await rows(workshop, owner, "upload_timer")
    assert (timer["due_at"], timer["set_at"]) == (made[0].expires_at, None)
    async with workshop.working(names=ONLY):
        assert await timers(workshop).round() >= 1
        await eventually(lambda: is_expired(workshop, made[-1]))
        await handle(workshop, owner).result()
    description = await handle(workshop, owner).describe()
    assert description.status is WorkflowExecutionStatus.COMPLETED
    assert description.history_length < 60
    assert await rows(workshop, owner, "upload WHERE state = 'open'") == []
