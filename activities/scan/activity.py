"""Temporal's face of stage `scan`.

Only clamd's exact `stream: OK`, from a fresh database, within the limits, and of a clamd that says so
when it looked into less than everything, is clean. Whatever
else it says is infected or unscannable, and the policy says what becomes of the file.
"""

import logging
import time
from contextlib import aclosing

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.scan.answers import unscannable, verdict_of_answer
from activities.scan.policy import Course, ScanPolicy
from activities.stage import StageRunner
from db.models import now
from db.queries.file_states import WITHHELD, settle_file
from db.queries.scans import Verdict, record_verdict, verdict_on_content
from db.queries.stages import Opening
from muniment.contracts.base import VersionReference
from muniment.contracts.jobs import FileState, StageName, StageState
from muniment.contracts.scan import (
    ScanActivities,
    ScanReason,
    ScanResult,
    ScanState,
    explanation,
)
from muniment.errors import ContentUnscannable, ScannerUnavailable
from muniment.objects import BlobStore
from muniment.scanner import Clamd, ScannerVersion, failed_setting

logger = logging.getLogger(__name__)

LIMIT_SETTING = "MUNIMENT_SCAN__MAX_BYTES"
TRIAL_GOOD_FOR_SECONDS = 600.0
"""How long a scanner that passed is believed."""
UNAVAILABLE_ATTEMPTS = 8
"""A scanner that stayed away for so many attempts (some four minutes: longer than loading a
database takes) leaves the file unscannable, so that a person can decide."""


class Scan(ScanActivities):
    """Without a scanner content is `unscanned`, which is quarantined when the policy requires a
    scan."""

    def __init__(
        self, runner: StageRunner, blobs: BlobStore, scanner: Clamd | None, policy: ScanPolicy
    ) -> None:
        self._runner = runner
        self._blobs = blobs
        self._scanner = scanner
        self._policy = policy
        self._trial = _Trial()

    @activity.defn(name="scan_for_malware")
    async def scan_for_malware(self, version: VersionReference) -> ScanResult:
        async with self._runner.attempt(version, StageName.SCAN):
            if self._scanner is None:
                verdict, course = await self._record_unscanned(version)
                reused = False
            else:
                verdict, course, reused = await self._verdict(version, self._scanner)
            if course is Course.REFUSE:
                raise ContentUnscannable(
                    explanation(verdict.reason, verdict.signature),
                    remedy="Upload it in a form that can be scanned: unlocked, unpacked, in parts."
                    " MUNIMENT_SCAN__UNSCANNABLE says what becomes of such files.",
                )
        return ScanResult(
            state=verdict.state,
            engine=verdict.engine,
            database=verdict.database,
            signature=verdict.signature,
            reason=verdict.reason,
            scanned_at=verdict.scanned_at,
            quarantine=course is Course.HOLD,
            reused=reused,
        )

    async def _record_unscanned(self, version: VersionReference) -> tuple[Verdict, Course]:
        verdict = Verdict(ScanState.UNSCANNED, now(), reason=ScanReason.NO_SCANNER)
        async with self._runner.transaction(version) as session:
            opening = await self._runner.open(session, version)
            job = await self._runner.begin(session, opening, StageName.SCAN)
            await self._record(session, version, verdict)
            await self._runner.finish(session, job, StageName.SCAN, StageState.SKIPPED)
        return verdict, self._policy.course(verdict, opening)

    async def _verdict(
        self, version: VersionReference, scanner: Clamd
    ) -> tuple[Verdict, Course, bool]:
        """The verdict, recorded, what becomes of the file, and whether the verdict was known before.
        Of a file that is refused the stage is left to fail."""
        async with self._runner.transaction(version) as session:
            opening = await self._runner.open(session, version)
            await self._runner.begin(session, opening, StageName.SCAN)
        verdict, reused = await self._judge(version, opening, scanner)
        course = self._policy.course(verdict, opening)
        async with self._runner.transaction(version) as session:
            job = await self._runner.relock(session, version)
            await self._record(session, version, verdict)
            if course is not Course.REFUSE:
                state = StageState.REUSED if reused else StageState.COMPLETED
                await self._runner.finish(session, job, StageName.SCAN, state)
        return verdict, course, reused

    async def _record(
        self, session: AsyncSession, version: VersionReference, verdict: Verdict
    ) -> None:
        """Notes the verdict; a clean one ends what an earlier scan made the file wait for."""
        await record_verdict(session, version.version_id, verdict)
        if verdict.state is ScanState.CLEAN:
            await settle_file(session, version.file_id, FileState.PROCESSING, among=WITHHELD)

    async def _judge(
        self, version: VersionReference, opening: Opening, scanner: Clamd
    ) -> tuple[Verdict, bool]:
        try:
            identity = await scanner.version()
            if not self._is_fresh(identity):
                return unscannable(identity, ScanReason.STALE_DATABASE), False
            if opening.content_size > self._policy.max_bytes:
                return unscannable(identity, ScanReason.TOO_LARGE, LIMIT_SETTING), False
            known = await self._known_verdict(version, opening, identity)
            verdict = known or await self._scanned(version, opening, scanner, identity)
            if verdict.state is ScanState.CLEAN:
                # A verdict that is known came of this scanner too, and is worth no more than it.
                failed = await self._trial.failed_setting(scanner)
                if failed is not None:
                    return unscannable(identity, ScanReason.FAILS_OPEN, failed), False
            return verdict, known is not None
        except ScannerUnavailable:
            if activity.info().attempt < UNAVAILABLE_ATTEMPTS:
                raise
            reason = ScanReason.SCANNER_UNAVAILABLE
            return Verdict(ScanState.UNSCANNABLE, now(), reason=reason), False

    async def _scanned(
        self,
        version: VersionReference,
        opening: Opening,
        scanner: Clamd,
        identity: ScannerVersion,
    ) -> Verdict:
        pieces = self._blobs.read(version.tenant_id, opening.content_blob_id, opening.content_size)
        async with aclosing(pieces):
            return verdict_of_answer(await scanner.scan(pieces), identity)

    async def _known_verdict(
        self, version: VersionReference, opening: Opening, identity: ScannerVersion
    ) -> Verdict | None:
        if identity.database is None:
            return None
        async with self._runner.transaction(version) as session:
            return await verdict_on_content(
                session, opening.content_blob_id, identity.engine, identity.database
            )

    def _is_fresh(self, identity: ScannerVersion) -> bool:
        return (
            identity.built_at is not None
            and now() - identity.built_at <= self._policy.max_database_age
        )


class _Trial:
    """Whether a scanner says so when it did not look at everything; asked anew after a while, since
    nothing tells of a changed configuration, and at once after it failed: it may be mended."""

    def __init__(self) -> None:
        self._good_until = 0.0

    async def failed_setting(self, scanner: Clamd) -> str | None:
        """What its configuration lacks; ScannerUnavailable as every question to it."""
        if time.monotonic() < self._good_until:
            return None
        failed = await failed_setting(scanner)
        if failed is None:
            self._good_until = time.monotonic() + TRIAL_GOOD_FOR_SECONDS
        else:
            logger.error("the virus scanner fails open", extra={"setting": failed})
        return failed
