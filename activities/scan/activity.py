"""Temporal's face of stage `scan`.

Only clamd's exact `stream: OK`, from a fresh database, within the limits, and of a clamd that says so
when it looked into less than everything, is clean. Whatever
else it says is infected or unscannable, and waits for a person.
"""

import logging
import re
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.stage import StageRunner
from db.models import now
from db.queries.file_states import WITHHELD, settle_file
from db.queries.scans import Verdict, record_verdict, verdict_on_content
from db.queries.stages import Opening
from muniment.contracts.base import VersionReference
from muniment.contracts.jobs import FileState, StageName, StageState
from muniment.contracts.scan import ScanActivities, ScanResult, ScanState
from muniment.errors import ScannerUnavailable
from muniment.objects import BlobStore
from muniment.scanner import Clamd, ScannerVersion, failed_setting, is_clean

logger = logging.getLogger(__name__)

_FOUND = re.compile(r"stream: (?P<signature>.+) FOUND")
_NOT_LOOKED_INTO = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted.")
"""Alerts that name no malware but a part that was left out: a limit was reached, or it is encrypted."""
FAILS_OPEN = "Muniment.FailsOpen."
"""Stands in the signature's place before the setting of clamd.conf(5) that the scanner lacks."""
TRIAL_GOOD_FOR_SECONDS = 600.0
"""How long a scanner that passed is believed."""
UNAVAILABLE_ATTEMPTS = 8
"""A scanner that stayed away for so many attempts (some four minutes: longer than loading a
database takes) leaves the file unscannable, so that a person can decide."""


@dataclass(frozen=True)
class ScanPolicy:
    """When an answer can be believed, and what happens without a scanner."""

    max_bytes: int
    max_database_age: timedelta
    required: bool


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
                verdict, reused = await self._record_unscanned(version), False
            else:
                verdict, reused = await self._verdict(version, self._scanner)
        return ScanResult(
            state=verdict.state,
            engine=verdict.engine,
            database=verdict.database,
            signature=verdict.signature,
            scanned_at=verdict.scanned_at,
            quarantine=self._is_quarantined(verdict.state),
            reused=reused,
        )

    def _is_quarantined(self, state: ScanState) -> bool:
        if state is ScanState.UNSCANNED:
            return self._policy.required
        return state is not ScanState.CLEAN

    async def _record_unscanned(self, version: VersionReference) -> Verdict:
        verdict = Verdict(ScanState.UNSCANNED, now())
        async with self._runner.transaction(version) as session:
            opening = await self._runner.open(session, version)
            job = await self._runner.begin(session, opening, StageName.SCAN)
            await self._record(session, version, verdict)
            await self._runner.finish(session, job, StageName.SCAN, StageState.SKIPPED)
        return verdict

    async def _verdict(self, version: VersionReference, scanner: Clamd) -> tuple[Verdict, bool]:
        """The verdict, recorded, and whether it was known before."""
        async with self._runner.transaction(version) as session:
            opening = await self._runner.open(session, version)
            await self._runner.begin(session, opening, StageName.SCAN)
        verdict, reused = await self._judge(version, opening, scanner)
        async with self._runner.transaction(version) as session:
            job = await self._runner.relock(session, version)
            await self._record(session, version, verdict)
            state = StageState.REUSED if reused else StageState.COMPLETED
            await self._runner.finish(session, job, StageName.SCAN, state)
        return verdict, reused

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
            if opening.content_size > self._policy.max_bytes or not self._is_fresh(identity):
                return _verdict_of(ScanState.UNSCANNABLE, identity), False
            known = await self._known_verdict(version, opening, identity)
            verdict = known or await self._scanned(version, opening, scanner, identity)
            if verdict.state is ScanState.CLEAN:
                # A verdict that is known came of this scanner too, and is worth no more than it.
                failed = await self._trial.failed_setting(scanner)
                if failed is not None:
                    return _verdict_of(ScanState.UNSCANNABLE, identity, FAILS_OPEN + failed), False
            return verdict, known is not None
        except ScannerUnavailable:
            if activity.info().attempt < UNAVAILABLE_ATTEMPTS:
                raise
            return Verdict(ScanState.UNSCANNABLE, now()), False

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


def verdict_of_answer(answer: str, identity: ScannerVersion) -> Verdict:
    """Exactly `stream: OK` is clean; `… FOUND` infected, but what was not looked into unscannable."""
    if is_clean(answer):
        return _verdict_of(ScanState.CLEAN, identity)
    found = _FOUND.fullmatch(answer)
    if found is None or found["signature"].startswith(_NOT_LOOKED_INTO):
        return _verdict_of(ScanState.UNSCANNABLE, identity)
    return _verdict_of(ScanState.INFECTED, identity, found["signature"])


def _verdict_of(
    state: ScanState, identity: ScannerVersion, signature: str | None = None
) -> Verdict:
    return Verdict(state, now(), identity.engine, identity.database, signature)
