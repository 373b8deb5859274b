"""What the scan decides about an ingestion."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from activities.scan.activity import Scan
from activities.scan.policy import ScanPolicy
from api.files.schemas import Scan as ScanView
from api.files.view import scan_view
from db.models import FileVersion, Job, now
from db.queries.scans import Verdict, record_verdict
from db.session import Access
from muniment.contracts.base import VersionReference
from muniment.contracts.scan import ScanReason, ScanResult, ScanState
from muniment.scanner import Clamd, ScannerVersion, trials
from tests.activities.test_scan import LAX
from tests.clamd_process import EICAR, clamd
from tests.workflows.documents import TEXT
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _policy(*, required: bool = False) -> ScanPolicy:
    return ScanPolicy(
        max_bytes=2_000_000_000, max_database_age=timedelta(hours=48), required=required
    )


def _scan(workshop: Workshop, address: str) -> Callable[[VersionReference], Awaitable[ScanResult]]:
    runner, blobs = workshop.parts.runner, workshop.stores.blobs
    return Scan(runner, blobs, Clamd(address, 20), _policy()).scan_for_malware


async def _version(workshop: Workshop, job: Job) -> FileVersion:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        version = await session.get(FileVersion, job.version_id)
    assert version is not None
    return version


class Dated(Clamd):
    """A real clamd whose database has a date: the test's own signatures carry none."""

    async def version(self) -> ScannerVersion:
        told = await super().version()
        return ScannerVersion(told.engine, "27800", now())


async def test_without_a_scanner_a_required_scan_fails_closed(
    workshop: Workshop, owner: TenantIds
) -> None:
    scan = Scan(workshop.parts.runner, workshop.stores.blobs, None, _policy(required=True))
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[scan.scan_for_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        await handle.terminate()
    assert (await workshop.file(job)).state == "quarantined"
    told = scan_view(await _version(workshop, job))
    assert (told.state, told.reason) == (ScanState.UNSCANNED, ScanReason.NO_SCANNER)


async def test_a_database_without_a_date_makes_content_unscannable(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scanner = Clamd(clamd_socket, 20)
    scan = Scan(workshop.parts.runner, workshop.stores.blobs, scanner, _policy())
    job = await workshop.upload(owner, TEXT)
    async with workshop.working(replacing=[scan.scan_for_malware]):
        handle = await workshop.start(job)
        await workshop.until(job, "waiting")
        await handle.terminate()
    assert (await workshop.file(job)).state == "quarantined"
    told = scan_view(await _version(workshop, job))
    assert (told.state, told.reason) == (ScanState.UNSCANNABLE, ScanReason.STALE_DATABASE)
    assert told.signature is None


async def test_clean_content_goes_on_and_a_virus_waits(
    workshop: Workshop,
    owner: TenantIds,
    clamd_socket: str,
) -> None:
    scanner = Dated(clamd_socket, 20)
    scan = Scan(workshop.parts.runner, workshop.stores.blobs, scanner, _policy())
    clean = await workshop.upload(owner, TEXT)
    same = await workshop.upload(owner, TEXT, "same.txt")
    virus = await workshop.upload(owner, b"A letter with " + EICAR)
    async with workshop.working(replacing=[scan.scan_for_malware]):
        await (await workshop.start(clean)).result()
        await (await workshop.start(same)).result()
        handle = await workshop.start(virus)
        waiting = await workshop.until(virus, "waiting")
        await handle.terminate()
    assert waiting.error is not None
    assert waiting.error["type"] == "urn:muniment:problem:malware-found"
    assert "Muniment.Test.Eicar.UNOFFICIAL" in waiting.error["detail"]
    told = scan_view(await _version(workshop, virus))
    assert (told.state, told.reason) == (ScanState.INFECTED, ScanReason.MALWARE)
    assert told.signature == "Muniment.Test.Eicar.UNOFFICIAL"
    passed = scan_view(await _version(workshop, clean))
    assert (passed.state, passed.reason, passed.signature) == (ScanState.CLEAN, None, None)
    row = await workshop.job(same)
    assert row.stages[0]["state"] == "reused"
    assert (await workshop.file(virus)).state == "quarantined"


async def test_a_scanner_that_fails_open_makes_content_unscannable(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = b"A harmless letter for a lax scanner."
    called_clean = await workshop.upload(owner, content)
    job = await workshop.upload(owner, content, "same.txt")
    with clamd() as strict, clamd(LAX) as lax:
        strict.date(now())
        lax.date(now())
        async with workshop.working(replacing=[_scan(workshop, strict.address)]):
            await (await workshop.start(called_clean)).result()
        async with workshop.working(replacing=[_scan(workshop, lax.address)]):
            handle = await workshop.start(job)
            await workshop.until(job, "waiting")
            await handle.terminate()
    assert (await workshop.file(job)).state == "quarantined"
    version = await _version(workshop, job)
    assert version.scan_signature in {f"Muniment.FailsOpen.{setting}" for setting in trials()}
    told = scan_view(version)
    assert told.reason is ScanReason.FAILS_OPEN
    assert told.signature in trials()


@pytest.mark.parametrize(
    ("state", "reason", "signature", "kept"),
    [
        (ScanState.CLEAN, None, None, None),
        (
            ScanState.INFECTED,
            ScanReason.MALWARE,
            "Muniment.TooLarge.Evil",
            "Muniment.TooLarge.Evil",
        ),
        (
            ScanState.UNSCANNABLE,
            ScanReason.ENCRYPTED,
            "Heuristics.Encrypted.Zip",
            "Heuristics.Encrypted.Zip",
        ),
        (
            ScanState.UNSCANNABLE,
            ScanReason.LIMIT,
            "Heuristics.Limits.Exceeded.MaxFiles",
            "Heuristics.Limits.Exceeded.MaxFiles",
        ),
        (
            ScanState.UNSCANNABLE,
            ScanReason.TOO_LARGE,
            "StreamMaxLength",
            "Muniment.TooLarge.StreamMaxLength",
        ),
        (ScanState.UNSCANNABLE, ScanReason.STALE_DATABASE, None, "Muniment.StaleDatabase"),
        (
            ScanState.UNSCANNABLE,
            ScanReason.SCANNER_UNAVAILABLE,
            None,
            "Muniment.ScannerUnavailable",
        ),
        (ScanState.UNSCANNABLE, ScanReason.SCANNER_ERROR, None, "Muniment.ScannerError"),
        # As it was written before reasons were kept.
        (ScanState.UNSCANNABLE, None, None, None),
        (ScanState.UNSCANNED, ScanReason.NO_SCANNER, None, None),
    ],
)
async def test_a_verdict_is_told_as_it_was_recorded(
    workshop: Workshop,
    owner: TenantIds,
    state: ScanState,
    reason: ScanReason | None,
    signature: str | None,
    kept: str | None,
) -> None:
    job = await workshop.upload(owner, TEXT)
    assert job.version_id is not None
    before = scan_view(await _version(workshop, job))
    assert (before.state, before.reason, before.signature) == (ScanState.UNSCANNED, None, None)
    verdict = Verdict(state, now(), "ClamAV 1.4.3", "27800", signature, reason)
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        await record_verdict(session, job.version_id, verdict)
    version = await _version(workshop, job)
    assert version.scan_signature == kept
    assert scan_view(version) == ScanView(
        state=state,
        engine="ClamAV 1.4.3",
        database="27800",
        signature=signature,
        reason=reason,
        at=verdict.scanned_at,
    )
