"""Archives and messages: each member becomes a file of its own, ingested by its own workflow."""

import asyncio
import io
import struct
import zipfile
from collections.abc import Sequence
from email.message import EmailMessage

import pytest
from sqlalchemy import select
from sqlmodel import col
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from api.authentication import Caller
from api.files.service import restore, trash
from db.models import Blob, File, FileVersion, Job, new_id
from db.session import Access
from muniment.api_keys import ALL_SCOPES
from muniment.contracts.jobs import JobState
from tests.workflows.documents import TEXT
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


def zipped(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


async def members(workshop: Workshop, job: Job) -> Sequence[File]:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        found = await session.scalars(
            select(File).where(col(File.parent_id) == job.file_id).order_by(col(File.member_path))
        )
        return found.all()


async def jobs_of(workshop: Workshop, file: File) -> Sequence[Job]:
    async with workshop.database.transaction(Access(file.tenant_id)) as session:
        found = await session.scalars(
            select(Job).where(col(Job.file_id) == file.id).order_by(col(Job.created_at))
        )
        return found.all()


async def ingested(workshop: Workshop, owner: TenantIds, content: bytes, name: str) -> Job:
    job = await workshop.upload(owner, content, name, "application/octet-stream")
    async with workshop.working():
        await (await workshop.start(job)).result()
    return await workshop.job(job)


async def test_every_member_is_a_file_with_its_lineage(
    workshop: Workshop, owner: TenantIds
) -> None:
    entries = {"a/deed.txt": TEXT, "b/deed copy.txt": TEXT, "c.md": b"# Heading\n\nWords."}
    job = await ingested(workshop, owner, zipped(entries), "deeds.zip")
    assert (job.state, job.degraded) == (JobState.COMPLETED, False)
    found = await members(workshop, job)
    assert [(file.member_path, file.name, file.state) for file in found] == [
        ("a/deed.txt", "deed.txt", "ready"),
        ("b/deed copy.txt", "deed copy.txt", "ready"),
        ("c.md", "c.md", "ready"),
    ]
    assert {file.parent_version_id for file in found} == {job.version_id}
    assert {file.collection_id for file in found} == {owner.collection_id}
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        versions = (
            await session.scalars(
                select(FileVersion).where(col(FileVersion.file_id).in_([f.id for f in found]))
            )
        ).all()
        blobs = (await session.scalars(select(Blob).where(col(Blob.kind) == "content"))).all()
    assert len({version.blob_id for version in versions}) == 2  # the same content lies once
    assert len(blobs) == 3
    archive = await workshop.file(job)
    assert (archive.state, archive.media_type) == ("ready", "application/zip")


async def test_a_failed_member_degrades_its_archive_and_a_retry_heals_only_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = zipped({"good.txt": TEXT, "broken.pdf": b"%PDF-1.7\nnothing", "../evil.txt": b"x"})
    job = await ingested(workshop, owner, content, "mixed.zip")
    assert (job.state, job.degraded) == (JobState.COMPLETED, True)
    assert (await workshop.file(job)).degraded
    broken, good = await members(workshop, job)
    assert (broken.state, good.state) == ("failed", "ready")
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        again = Job(
            tenant_id=job.tenant_id,
            kind=job.kind,
            file_id=job.file_id,
            version_id=job.version_id,
            workflow_id=f"{job.workflow_id}-again",
            state="queued",
        )
        session.add(again)
    async with workshop.working():
        await (await workshop.start(again)).result()
    assert len(await members(workshop, job)) == 2
    assert len(await jobs_of(workshop, good)) == 1
    assert len(await jobs_of(workshop, broken)) == 2


async def test_a_retry_reaches_what_failed_in_an_archive_of_the_archive(
    workshop: Workshop, owner: TenantIds
) -> None:
    inner = zipped({"broken.pdf": b"%PDF-1.7\nnothing"})
    job = await ingested(workshop, owner, zipped({"inner.zip": inner}), "outer.zip")
    retry = await workshop.retry(job)
    async with workshop.working():
        await (await workshop.start(retry)).result()
    (inner_file,) = await members(workshop, job)
    inner_job, inner_retry = await jobs_of(workshop, inner_file)
    assert inner_retry.retry_of == inner_job.id
    (broken,) = await members(workshop, inner_job)
    assert len(await jobs_of(workshop, broken)) == 2


async def test_a_damaged_member_leaves_the_others_alone(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = zipped({"a.txt": TEXT, "b.txt": b"clear" * 300_000, "c.txt": TEXT + b"c"})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        checksum = struct.pack("<L", archive.getinfo("b.txt").CRC)
    damaged = content.replace(checksum, bytes(4))
    assert damaged != content
    job = await ingested(workshop, owner, damaged, "damaged.zip")
    assert (job.state, job.degraded) == (JobState.COMPLETED, True)
    found = [(file.name, file.member_ordinal, file.state) for file in await members(workshop, job)]
    assert found == [("a.txt", 0, "ready"), ("c.txt", 2, "ready")]


async def test_what_came_out_before_the_limit_is_ingested(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activities.members import activity

    monkeypatch.setattr(activity, "MAXIMUM_TOTAL_BYTES", 2 * len(TEXT))
    content = zipped({"a.txt": TEXT, "b.txt": TEXT + b"more", "c.txt": TEXT})
    job = await ingested(workshop, owner, content, "large.zip")
    assert (job.state, job.degraded) == (JobState.COMPLETED, True)
    found = [(file.name, file.state) for file in await members(workshop, job)]
    assert found == [("a.txt", "ready")]


async def test_members_made_in_the_trash_are_restored_with_their_archive_and_ingested_by_a_retry(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, zipped({"a.txt": TEXT}), "trashed.zip", "application/zip")
    caller = Caller(
        owner.tenant_id, owner.principal_id, new_id(), frozenset(ALL_SCOPES), is_admin=True
    )
    async with workshop.database.transaction(caller.access) as session:
        await trash(session, caller, job.file_id)
    async with workshop.working():
        await (await workshop.start(job)).result()
        (made,) = await members(workshop, job)
        assert (made.state, (await workshop.job(job)).degraded) == ("trashed", True)
        async with workshop.database.transaction(caller.access) as session:
            await restore(session, caller, job.file_id)
        (restored,) = await members(workshop, job)
        assert restored.state == "received"
        retry = await workshop.retry(job)
        await (await workshop.start(retry)).result()
    (ingested_member,) = await members(workshop, job)
    assert (ingested_member.state, (await workshop.job(retry)).degraded) == ("ready", False)


async def test_a_retry_counts_what_the_rest_of_the_upload_holds(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activities.members import activity

    inner = zipped({"b.txt": TEXT + b"b", "c.txt": TEXT + b"c"})
    outer = zipped({"a.txt": TEXT + b"a", "inner.zip": inner})
    before_c = len(inner) + 2 * len(TEXT + b"a")
    monkeypatch.setattr(activity, "MAXIMUM_TOTAL_BYTES", before_c + len(TEXT))
    job = await ingested(workshop, owner, outer, "outer.zip")
    (inner_file,) = [file for file in await members(workshop, job) if file.name == "inner.zip"]
    (inner_job,) = await jobs_of(workshop, inner_file)
    retry = await workshop.retry(inner_job)
    async with workshop.working():
        await (await workshop.start(retry)).result()
    assert [file.name for file in await members(workshop, retry)] == ["b.txt"]
    monkeypatch.setattr(activity, "MAXIMUM_TOTAL_BYTES", before_c + len(TEXT + b"c"))
    retry = await workshop.retry(inner_job)
    async with workshop.working():
        await (await workshop.start(retry)).result()
    assert [file.name for file in await members(workshop, retry)] == ["b.txt", "c.txt"]
    assert not (await workshop.job(retry)).degraded


async def test_archives_in_archives_are_opened_to_a_depth_of_three(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = zipped({"deep.txt": TEXT})
    for depth in range(4, 1, -1):
        content = zipped({f"level{depth}.zip": content, f"beside{depth}.txt": TEXT})
    job = await ingested(workshop, owner, content, "level1.zip")
    assert (job.state, job.degraded) == (JobState.COMPLETED, True)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        found = await session.scalars(select(File).where(col(File.root_id) == job.file_id))
        states = {file.name: file.state for file in found}
    assert set(states) == {
        "level2.zip", "level3.zip", "level4.zip", "beside2.txt", "beside3.txt", "beside4.txt",
    }  # fmt: skip


async def test_attachments_are_files_beside_their_message(
    workshop: Workshop, owner: TenantIds
) -> None:
    message = EmailMessage()
    message["Subject"] = "Papers"
    message["From"] = "clerk@example.org"
    message.set_content("The deed is attached.")
    message.add_attachment(TEXT, maintype="text", subtype="plain", filename="deed.txt")
    job = await ingested(workshop, owner, message.as_bytes(), "papers.eml")
    (deed,) = await members(workshop, job)
    assert (deed.name, deed.state) == ("deed.txt", "ready")


async def test_more_members_than_one_run_takes_are_all_ingested(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workflows import policies

    monkeypatch.setattr(policies, "MEMBERS_PER_RUN", 4)
    content = zipped({f"{number:02}.txt": b"text %d" % number for number in range(10)})
    job = await workshop.upload(owner, content, "many.zip", "application/zip")
    async with workshop.working():
        await (await workshop.start(job)).result()
    assert [file.state for file in await members(workshop, job)] == ["ready"] * 10


async def test_a_cancelled_archive_stops_its_members_and_stays_ready(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = zipped({f"{number:03}.txt": TEXT + b"%d" % number for number in range(60)})
    job = await workshop.upload(owner, content, "long.zip", "application/zip")
    async with workshop.working():
        handle = await workshop.start(job)
        while not await members(workshop, job):  # noqa: ASYNC110 - the database is asked
            await asyncio.sleep(0.02)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as ended:
            await handle.result()
    assert isinstance(ended.value.cause, CancelledError)
    assert (await workshop.job(job)).state == "cancelled"
    assert (await workshop.file(job)).state == "ready"
    states = {file.state for file in await members(workshop, job)}
    assert "processing" not in states
