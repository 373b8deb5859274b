"""What becomes of content that no scanner looks into all of."""

import asyncio
import io
import zipfile
from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError

from activities.scan.activity import Scan
from activities.scan.policy import Course, ScanPolicy
from api.files.schemas import Scan as ScanView
from api.files.view import scan_view
from db.models import FileVersion, Job
from db.session import Access
from muniment.contracts.jobs import JobState, StageName
from muniment.contracts.scan import ScanReason, ScanState
from muniment.scanner import Clamd
from tests.activities.test_scan import encrypted, zipped
from tests.clamd_process import EICAR
from tests.workflows.documents import TEXT
from tests.workflows.test_members import members
from tests.workflows.test_scanning import Dated
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOCKED = encrypted(zipped(b"Who knows?"))
MANY_BYTES = 2_000_000_000
FEW_BYTES = 200
"""More than one member of the archives here, less than any of these."""


def _scan(
    workshop: Workshop,
    scanner: Clamd,
    unscannable: Course = Course.HOLD,
    *,
    max_bytes: int = MANY_BYTES,
    archives_by_members: bool = False,
) -> Scan:
    policy = ScanPolicy(
        max_bytes=max_bytes,
        max_database_age=timedelta(hours=48),
        required=True,
        unscannable=unscannable,
        archives_by_members=archives_by_members,
    )
    return Scan(workshop.parts.runner, workshop.stores.blobs, scanner, policy)


async def _told(workshop: Workshop, job: Job) -> ScanView:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        return scan_view(await session.get(FileVersion, job.version_id))


def _archive(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert len(out.getvalue()) > FEW_BYTES
    return out.getvalue()


async def test_by_default_a_person_is_told_the_reason_and_decides(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scan = _scan(workshop, Dated(clamd_socket, 20))
    job = await workshop.upload(owner, LOCKED, "locked.zip", "application/zip")
    async with workshop.working(replacing=[scan.scan_for_malware]):
        handle = await workshop.start(job)
        waiting = await workshop.until(job, "waiting")
        await handle.terminate()
    assert (await workshop.file(job)).state == "quarantined"
    told = await _told(workshop, job)
    assert (told.reason, told.signature) == (ScanReason.ENCRYPTED, "Heuristics.Encrypted.Zip")
    assert waiting.error is not None
    assert waiting.error["type"] == "urn:muniment:problem:content-unscannable"
    assert "encrypted" in waiting.error["detail"]
    assert "Heuristics.Encrypted.Zip" in waiting.error["detail"]


async def test_what_is_refused_is_rejected_without_anybody_waiting(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scan = _scan(workshop, Dated(clamd_socket, 20), Course.REFUSE)
    job = await workshop.upload(owner, LOCKED, "locked.zip", "application/zip")
    async with workshop.working(replacing=[scan.scan_for_malware]):
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(job)).result()
    row = await workshop.job(job)
    assert row.state == JobState.FAILED
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:content-unscannable"
    stage = next(each for each in row.stages if each["name"] == StageName.SCAN)
    assert (stage["state"], stage["attempts"]) == ("failed", 1)
    assert (await workshop.file(job)).state == "rejected"
    told = await _told(workshop, job)
    assert (told.state, told.reason) == (ScanState.UNSCANNABLE, ScanReason.ENCRYPTED)


async def test_what_is_accepted_goes_on_and_stays_marked(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scan = _scan(workshop, Dated(clamd_socket, 20), Course.ACCEPT, max_bytes=5)
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[scan.scan_for_malware]):
        await (await workshop.start(job)).result()
    assert (await workshop.file(job)).state == "ready"
    told = await _told(workshop, job)
    assert (told.state, told.reason) == (ScanState.UNSCANNABLE, ScanReason.TOO_LARGE)
    assert told.signature == "MUNIMENT_SCAN__MAX_BYTES"


@pytest.mark.parametrize("course", [Course.ACCEPT, Course.REFUSE])
async def test_while_the_scanner_is_not_to_be_believed_nothing_is_accepted_or_refused(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
    course: Course,
) -> None:
    undated = Clamd(clamd_socket, 20)
    scan = _scan(workshop, undated, course, max_bytes=5, archives_by_members=True)
    job = await workshop.upload(owner, zipped(TEXT), "letters.zip", "application/zip")
    async with workshop.working(replacing=[scan.scan_for_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        await handle.terminate()
    assert (await workshop.file(job)).state == "quarantined"
    assert (await _told(workshop, job)).reason is ScanReason.STALE_DATABASE


async def test_malware_waits_whatever_becomes_of_the_unscannable(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scan = _scan(workshop, Dated(clamd_socket, 20), Course.ACCEPT, archives_by_members=True)
    job = await workshop.upload(owner, zipped(EICAR), "virus.zip", "application/zip")
    async with workshop.working(replacing=[scan.scan_for_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        await handle.terminate()
    assert (await workshop.file(job)).state == "quarantined"


async def test_accepting_frees_no_file_that_waits_already(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scanner = Dated(clamd_socket, 20)
    job = await workshop.upload(owner, TEXT, "letter.zip")
    hold = _scan(workshop, scanner, max_bytes=5)
    async with workshop.working(replacing=[hold.scan_for_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    retry = await workshop.retry(job)
    accept = _scan(workshop, scanner, Course.ACCEPT, max_bytes=5, archives_by_members=True)
    async with workshop.working(replacing=[accept.scan_for_malware]):
        handle = await workshop.start(retry)
        await workshop.until(retry, "waiting")
        await handle.terminate()
    assert (await workshop.file(job)).state == "quarantined"


async def test_an_archive_over_the_limit_goes_by_its_members(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scan = _scan(workshop, Dated(clamd_socket, 20), max_bytes=FEW_BYTES, archives_by_members=True)
    content = _archive({"letter.txt": b"A harmless letter.", "virus.txt": EICAR})
    job = await workshop.upload(owner, content, "mixed.zip", "application/zip")
    async with workshop.working(replacing=[scan.scan_for_malware]):
        await (await workshop.start(job)).result()

        async def states() -> dict[str, str]:
            return {member.name: member.state for member in await members(workshop, job)}

        for _ in range(6000):
            if await states() == {"letter.txt": "ready", "virus.txt": "quarantined"}:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError(f"the members stayed as {await states()}")
    row = await workshop.job(job)
    assert (row.state, row.degraded) == (JobState.COMPLETED, True)
    told = await _told(workshop, job)
    assert (told.state, told.reason) == (ScanState.UNSCANNABLE, ScanReason.TOO_LARGE)


async def test_a_document_that_is_called_an_archive_does_not_pass_unscanned(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scan = _scan(workshop, Dated(clamd_socket, 20), max_bytes=FEW_BYTES, archives_by_members=True)
    content = _archive({"[Content_Types].xml": b"<Types/>", "word/document.xml": EICAR})
    called_archive = await workshop.upload(owner, content, "letter.zip", "application/zip")
    document = await workshop.upload(owner, content, "letter.docx")
    async with workshop.working(replacing=[scan.scan_for_malware]):
        with pytest.raises(WorkflowFailureError):
            await (await workshop.start(called_archive)).result()
        handle = await workshop.start(document)
        await workshop.until(document, "waiting")
        await handle.terminate()
    row = await workshop.job(called_archive)
    assert row.error is not None
    assert row.error["type"] == "urn:muniment:problem:wrong-type"
    assert (await workshop.file(called_archive)).state == "failed"
