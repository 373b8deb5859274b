"""What there is of a person: found wherever it names them, confirmed, handed out or erased."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterable, Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlmodel import col
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.subjects import activity as subjects_activity
from activities.subjects.activity import SubjectRequests
from db.models import (
    AuditEvent,
    Erasure,
    Job,
    RetentionLock,
    SubjectDecision,
    SubjectRequest,
    SubjectRequestItem,
    new_id,
    now,
)
from db.queries import subject_requests
from db.session import Access
from muniment.contracts.findings import FindingAct
from muniment.contracts.subject_requests import (
    SubjectIdentity,
    SubjectKind,
    SubjectRequestInput,
    workflow_id,
)
from muniment.errors import KeyDestroyed
from muniment.objects import SealedBlob
from muniment.objects.sealed_texts import subject_place
from tests.patience import on_a_busy_machine
from tests.workflows.conftest import tenant_in
from tests.workflows.test_finding_policies import policy
from tests.workflows.test_legal_holds import place, release
from tests.workflows.workshop import TenantIds, Workshop
from worker.reconciler import Reconciler
from worker.spent_subject_requests import SpentSubjectRequests
from workflows.starting import start_subject_request

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHO = ("Ana Li", "ana.li@example.org", "+49 (30) 123-4567")
Handle = WorkflowHandle[object, object]


async def asked(
    workshop: Workshop,
    owner: TenantIds,
    kind: SubjectKind = SubjectKind.ACCESS,
    identifiers: Sequence[str] = WHO,
) -> SubjectRequestInput:
    """A request as the API commits it."""
    made = await workshop.parts.texts.make_key(owner.tenant_id)
    request_id = new_id()
    identity = SubjectIdentity(identifiers=tuple(identifiers), reason="her letter")
    sealed = made.key.seal(
        identity.model_dump_json().encode(), subject_place(owner.tenant_id, request_id)
    )
    row = SubjectRequest(
        id=request_id,
        tenant_id=owner.tenant_id,
        kind=kind.value,
        state="finding",
        requested_by=owner.principal_id,
        text_key_id=made.blob.blob_id,
        subject=sealed,
        keep_days=7,
        expires_at=now() + timedelta(days=90),
    )
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await subject_requests.add_request(session, row, made.blob)
    return SubjectRequestInput(tenant_id=owner.tenant_id, request_id=request_id)


async def started(workshop: Workshop, request: SubjectRequestInput) -> Handle:
    await start_subject_request(workshop.client, request)
    return workshop.client.get_workflow_handle(workflow_id(request.request_id))


async def row_of(workshop: Workshop, request: SubjectRequestInput) -> SubjectRequest:
    async with workshop.database.transaction(Access(request.tenant_id)) as session:
        return await session.get_one(SubjectRequest, request.request_id)


async def until(workshop: Workshop, request: SubjectRequestInput, state: str) -> SubjectRequest:
    async with asyncio.timeout(on_a_busy_machine(120)):
        while (row := await row_of(workshop, request)).state != state:
            assert row.finished_at is None, (row.state, row.failure)
            await asyncio.sleep(0.05)
    return row


async def items_of(
    workshop: Workshop, request: SubjectRequestInput
) -> dict[UUID, SubjectRequestItem]:
    async with workshop.database.transaction(Access(request.tenant_id)) as session:
        rows = await session.scalars(
            select(SubjectRequestItem).where(
                col(SubjectRequestItem.request_id) == request.request_id
            )
        )
        return {row.file_id: row for row in rows}


async def approve(
    workshop: Workshop, request: SubjectRequestInput, exclude: Sequence[UUID] = ()
) -> None:
    """As the API commits it, and tells the workflow."""
    async with workshop.database.transaction(Access(request.tenant_id)) as session:
        row = await session.get_one(SubjectRequest, request.request_id, with_for_update=True)
        excluded = await subject_requests.exclude(session, row.id, exclude)
        session.add(
            SubjectDecision(
                request_id=row.id,
                tenant_id=row.tenant_id,
                decided_by=new_id(),
                is_approved=True,
                confirmed=0,
                excluded=excluded,
            )
        )
        row.state = "exporting" if row.kind == SubjectKind.ACCESS else "erasing"
    await start_subject_request(workshop.client, request)


async def ingested(workshop: Workshop, owner: TenantIds, content: str, name: str) -> Job:
    """Called within `working`."""
    job = await workshop.upload(owner, content.encode(), name)
    await (await workshop.start(job)).result()
    return job


async def changed(workshop: Workshop, owner: TenantIds, statement: str, **values: object) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text(statement), values)


async def actions(workshop: Workshop, request: SubjectRequestInput) -> list[AuditEvent]:
    async with workshop.database.transaction(Access(request.tenant_id)) as session:
        rows = await session.scalars(
            select(AuditEvent)
            .where(col(AuditEvent.object_id) == request.request_id)
            .order_by(col(AuditEvent.id))
        )
        return [*rows]


async def test_a_copy_has_what_names_the_person_wherever_it_does(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str
) -> None:
    stranger = tenant_in(postgres_dsn)
    await policy(workshop, owner, FindingAct.MASK, "EMAIL_ADDRESS")
    async with workshop.working():
        described = await ingested(workshop, owner, "the minutes of May\n", "minutes.txt")
        await changed(
            workshop,
            owner,
            'UPDATE file SET metadata = \'{"about": ["ANA  LI"]}\' WHERE id = :id',
            id=described.file_id,
        )
        masked = await ingested(workshop, owner, "Write to ana.li@example.org.\n", "masked.txt")
        written = await ingested(
            workshop, owner, "She was called at +49 30 1234567, Ana\nLi says.\n", "written.txt"
        )
        namesake = await ingested(workshop, owner, "Another Ana Li, of Oslo.\n", "namesake.txt")
        await ingested(workshop, owner, "Diana Lindt and Ana Lima came.\n", "others.txt")
        await ingested(workshop, stranger, "Ana Li is here as well.\n", "elsewhere.txt")
        request = await asked(workshop, owner)
        handle = await started(workshop, request)
        waiting = await until(workshop, request, "waiting")
        items = await items_of(workshop, request)
        assert waiting.looked_at == 5
        assert {file_id: item.sources for file_id, item in items.items()} == {
            described.file_id: ["metadata"],
            masked.file_id: ["finding"],
            written.file_id: ["text"],
            namesake.file_id: ["text"],
        }
        await approve(workshop, request, [namesake.file_id])
        await handle.result()
    row = await row_of(workshop, request)
    assert (row.state, row.failure) == ("completed", None)
    assert row.export_blob_id is not None
    archive = zipfile.ZipFile(
        io.BytesIO(await workshop.stores.blobs.read_all(owner.tenant_id, row.export_blob_id))
    )
    assert archive.testzip() is None
    confirmed = {str(each.file_id) for each in (described, masked, written)}
    files = _lines(archive, "files.jsonl")
    assert {each["id"] for each in files} == confirmed
    assert {each["name"]: archive.read(each["versions"][0]["original"]) for each in files} == {
        "minutes.txt": b"the minutes of May\n",
        "masked.txt": b"Write to ana.li@example.org.\n",
        "written.txt": b"She was called at +49 30 1234567, Ana\nLi says.\n",
    }
    chunks = _lines(archive, "chunks.jsonl")
    assert {each["file_id"] for each in chunks} == confirmed
    assert any("+49 30 1234567" in each["text"] for each in chunks)
    events = _lines(archive, "access-log.jsonl")
    assert {each["file_id"] for each in events} <= confirmed
    assert "findings.judged" in {each["action"] for each in events}
    assert json.loads(archive.read("manifest.json"))["files"] == 3
    acts = await actions(workshop, request)
    assert [act.action for act in acts] == ["subject_request.found", "subject_request.ended"]
    await _require_nowhere_told(workshop, owner, handle)


def _lines(archive: zipfile.ZipFile, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in archive.read(name).splitlines()]


async def _require_nowhere_told(workshop: Workshop, owner: TenantIds, handle: Handle) -> None:
    """Who the person is stands in no row of the request, no event and no history."""
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        for table in ("subject_request", "subject_request_item", "audit_event"):
            rows = await session.scalars(text(f"SELECT {table}::text FROM {table}"))  # noqa: S608
            assert not [row for row in rows if "ana li" in row.lower() or "123-45" in row]
    history = (await handle.fetch_history()).to_json().lower()
    assert "ana" not in history.replace("manage", "")


async def test_a_copy_goes_with_the_first_of_its_files_that_is_erased_and_with_its_time(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        first = await ingested(workshop, owner, "Ana Li, once.\n", "first.txt")
        await ingested(workshop, owner, "Ana Li, twice.\n", "second.txt")
        copies = []
        for _ in range(2):
            request = await asked(workshop, owner)
            handle = await started(workshop, request)
            await until(workshop, request, "waiting")
            await approve(workshop, request)
            await handle.result()
            copies.append(request)
            if len(copies) == 1:
                erasing = await erased_by_request(workshop, owner, first)
    assert erasing.state == "completed"
    gone, kept = [await row_of(workshop, request) for request in copies]
    assert gone.export_blob_id is None
    assert kept.export_blob_id is not None
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        left = await session.scalars(
            text("SELECT id FROM blob WHERE kind = 'subject-request' AND destroyed_at IS NULL")
        )
        keys = [each.text_key_id for each in (gone, kept, erasing)]
        assert {*left} == {*keys, kept.export_blob_id}
    await changed(
        workshop, owner, "UPDATE subject_request SET expires_at = now() - interval '1 hour'"
    )
    spent = SpentSubjectRequests(workshop.database, workshop.stores.blobs)
    assert await spent.round() == 3
    assert await spent.round() == 0
    after = await row_of(workshop, copies[1])
    assert (after.subject, after.text_key_id, after.export_blob_id) == (None, None, None)
    with pytest.raises(KeyDestroyed):
        await workshop.stores.blobs.reread(
            owner.tenant_id, kept.export_blob_id, kept.export_size or 0
        ).__anext__()


async def erased_by_request(workshop: Workshop, owner: TenantIds, job: Job) -> SubjectRequest:
    """Of that file alone: the others are excluded."""
    request = await asked(workshop, owner, SubjectKind.ERASURE)
    handle = await started(workshop, request)
    await until(workshop, request, "waiting")
    others = [each for each in await items_of(workshop, request) if each != job.file_id]
    await approve(workshop, request, others)
    await carried_out(workshop, request, 1)
    await handle.signal("look")
    await handle.result()
    return await row_of(workshop, request)


async def carried_out(workshop: Workshop, request: SubjectRequestInput, count: int) -> None:
    """As many erasures as were ordered are started by a worker's round, and come to their ends."""
    reconciler = Reconciler(workshop.database, workshop.client, 1.0, timedelta(0))
    async with asyncio.timeout(on_a_busy_machine(120)):
        while True:
            await reconciler.round()
            async with workshop.database.transaction(Access(request.tenant_id)) as session:
                done = await session.scalars(
                    select(Erasure)
                    .join(SubjectRequestItem, col(SubjectRequestItem.erasure_id) == col(Erasure.id))
                    .where(
                        col(SubjectRequestItem.request_id) == request.request_id,
                        col(Erasure.state) == "completed",
                    )
                )
                if len(done.all()) >= count:
                    return
            await asyncio.sleep(0.2)


async def test_confirmed_files_are_erased_the_held_one_when_it_is_released_and_the_locked_never(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        jobs = {
            name: await ingested(workshop, owner, f"Ana Li, {name}.\n", f"{name}.txt")
            for name in ("plain", "held", "locked", "excluded")
        }
        hold = await place(workshop, owner, jobs["held"].file_id)
        lock = RetentionLock(
            file_id=jobs["locked"].file_id,
            tenant_id=owner.tenant_id,
            mode="compliance",
            retain_until=now() + timedelta(days=9),
            placed_by=owner.principal_id,
        )
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            session.add(lock)
        request = await asked(workshop, owner, SubjectKind.ERASURE)
        handle = await started(workshop, request)
        await until(workshop, request, "waiting")
        await approve(workshop, request, [jobs["excluded"].file_id])
        await carried_out(workshop, request, 1)
        states = {name: (await workshop.file(job)).state for name, job in jobs.items()}
        assert states == {
            "plain": "erased",
            "held": "restricted",
            "locked": "ready",
            "excluded": "ready",
        }
        await handle.signal("look")
        assert (await row_of(workshop, request)).state == "erasing"
        await release(workshop, hold)
        held = (await items_of(workshop, request))[jobs["held"].file_id]
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            erasure = await session.get_one(Erasure, held.erasure_id)
            erasing = await session.get_one(Job, erasure.job_id)
        await workshop.client.get_workflow_handle(erasing.workflow_id).signal("hold_changed")
        await carried_out(workshop, request, 2)
        await handle.signal("look")
        await handle.result()
    row = await row_of(workshop, request)
    assert (row.state, row.failure) == ("completed", None)
    items = await items_of(workshop, request)
    assert {name: items[job.file_id].state for name, job in jobs.items()} == {
        "plain": "erased",
        "held": "erased",
        "locked": "refused",
        "excluded": "excluded",
    }
    assert items[jobs["locked"].file_id].refused_until == lock.retain_until
    ended = (await actions(workshop, request))[-1]
    assert ended.payload is not None
    assert row.certificates_sha256 is not None
    assert ended.payload == {
        "state": "completed",
        "erased": 2,
        "refused": 1,
        "excluded": 1,
        "certificates_sha256": row.certificates_sha256.hex(),
    }


async def test_what_is_ordered_twice_is_erased_once(workshop: Workshop, owner: TenantIds) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, "Ana Li, once.\n", "once.txt")
    run = ActivityEnvironment().run
    subjects = _subjects(workshop)
    requests = [await asked(workshop, owner, SubjectKind.ERASURE) for _ in range(2)]
    for request in requests:
        while (await run(subjects.find_subject, request)).state == "finding":
            pass
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE subject_request SET state = 'erasing'"))
    for request in (*requests, *requests):
        await run(subjects.erase_subject, request)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        (erasure,) = (await session.scalars(select(Erasure))).all()
    assert erasure.file_id == job.file_id
    for request in requests:
        item = (await items_of(workshop, request))[job.file_id]
        assert (item.state, item.erasure_id) == ("ordered", erasure.id)


async def test_a_search_that_is_killed_goes_on_where_it_was_and_counts_nothing_twice(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        jobs = [
            await ingested(workshop, owner, f"Ana Li, number {n}.\n", f"{n}.txt") for n in range(4)
        ]
    request = await asked(workshop, owner)
    settings = workshop.settings
    died = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "tests.workflows.killed_finding"),
            *(str(owner.tenant_id), str(request.request_id)),
            *(str(settings.keys.root.parent), settings.database.url.get_secret_value()),
        ],
        env=os.environ,
        timeout=on_a_busy_machine(60),
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    assert {*await items_of(workshop, request)} == {jobs[0].file_id}
    assert (await row_of(workshop, request)).looked_at == 1
    async with workshop.working():
        await started(workshop, request)
        row = await until(workshop, request, "waiting")
    assert row.looked_at == 4
    found = await items_of(workshop, request)
    assert {file_id: item.matches for file_id, item in found.items()} == {
        job.file_id: 1 for job in jobs
    }


async def test_a_search_that_finds_too_much_says_so_and_ends(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects_activity, "MAX_FOUND", 1)
    async with workshop.working():
        for name in ("a.txt", "b.txt"):
            await ingested(workshop, owner, f"Ana Li, {name}.\n", name)
        request = await asked(workshop, owner)
        with pytest.raises(Exception, match="Workflow execution failed"):
            await (await started(workshop, request)).result()
    row = await row_of(workshop, request)
    assert (row.state, row.failure) == ("failed", "more than 1 files name the person")
    assert row.finished_at is not None


async def test_nobody_decided_in_time_and_the_request_expires(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        request = await asked(workshop, owner)
        handle = await started(workshop, request)
        await until(workshop, request, "waiting")
        await changed(workshop, owner, "UPDATE subject_request SET expires_at = now()")
        await handle.signal("look")
        await handle.result()
    assert (await row_of(workshop, request)).state == "expired"


async def test_a_file_that_is_to_be_erased_is_in_no_copy_that_is_made_meanwhile(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, "Ana Li, once.\n", "once.txt")
    run = ActivityEnvironment().run
    subjects = _subjects(workshop)
    request = await asked(workshop, owner)
    while (await run(subjects.find_subject, request)).state == "finding":
        pass
    await changed(workshop, owner, "UPDATE subject_request SET state = 'exporting'")

    class Overtaken(SubjectRequests):
        async def _require_storable(self, found: SubjectRequest) -> None:
            put = self._blobs.put

            async def overtaken(tenant_id: UUID, pieces: AsyncIterable[bytes]) -> SealedBlob:
                sealed = await put(tenant_id, pieces)
                await changed(workshop, owner, "UPDATE file SET state = 'erasing'")
                return sealed

            monkeypatch.setattr(self._blobs, "put", overtaken)

    stores = workshop.stores
    overtaken = Overtaken(workshop.database, stores.blobs, workshop.parts.texts, stores.keys)
    with pytest.raises(ApplicationError):
        await run(overtaken.export_subject, request)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        kinds = await session.scalars(
            text("SELECT count(*) FROM blob WHERE kind = 'subject-request'")
        )
        assert kinds.one() == 1  # the key of the words
    monkeypatch.undo()
    await run(subjects.export_subject, request)
    assert (await row_of(workshop, request)).state == "completed"
    assert (await items_of(workshop, request))[job.file_id].state == "gone"


def _subjects(workshop: Workshop) -> SubjectRequests:
    stores = workshop.stores
    return SubjectRequests(workshop.database, stores.blobs, workshop.parts.texts, stores.keys)
