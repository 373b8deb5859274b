"""Temporal's face of members: unpacking a container, and admitting its members one by one."""

import asyncio
import logging
from pathlib import PurePosixPath

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failures import application_error, erased, is_final
from activities.heartbeats import heartbeats
from activities.inspect.archive import MAXIMUM_ENTRIES, MAXIMUM_TOTAL_BYTES
from activities.members.calls import UnpackOutcome, UnpackRequest
from activities.members.receiver import MemberReceiver
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from activities.scratch import Scratch
from activities.stage import StageRunner
from db.audit import Act, record
from db.ingestions import Origin, first_version, new_ingestion
from db.models import File, Job, new_id, now
from db.queries import members, uploads
from db.queries.files import OUT_OF_SIGHT
from db.queries.jobs import JobRow, get_job
from db.queries.members import Container, Member
from db.queries.quotas import Quota
from db.queries.stages import UNTOUCHED_STATES, NewBlob, Opening, outputs_of
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import DocumentPlan
from muniment.contracts.jobs import FileState, JobState, StageName
from muniment.contracts.media_types import media_type_of_name
from muniment.contracts.members import (
    AdmitMemberInput,
    AdmittedMember,
    MembersActivities,
    UnpackResult,
)
from muniment.errors import (
    DocumentError,
    EngineError,
    Gone,
    LimitExceeded,
    MunimentError,
    QuotaExceeded,
)
from muniment.objects import BlobStore, SealedBlob

logger = logging.getLogger(__name__)

ENGINE_MODULE = "activities.members.engine"
MAXIMUM_DEPTH = 3
"""Archives within archives; what is in the third is taken out, an archive in it is not opened."""
_LIMITS = Limits(
    wall_seconds=1500,
    cpu_seconds=600,
    memory_bytes=1024 * MEBIBYTE,
    # Members travel as base64 with a few bytes of frame around each piece.
    output_bytes=MAXIMUM_TOTAL_BYTES // 2 * 3,
)
_OVER = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


class Members(MembersActivities):
    """`default_quota` is that of tenants without one of their own."""

    def __init__(
        self,
        runner: StageRunner,
        blobs: BlobStore,
        sandbox: Sandbox,
        scratch: Scratch,
        default_quota: Quota,
    ) -> None:
        self._runner = runner
        self._blobs = blobs
        self._sandbox = sandbox
        self._scratch = scratch
        self._default_quota = default_quota

    @activity.defn(name="unpack_members")
    async def unpack_members(self, version: VersionReference) -> UnpackResult:
        try:
            async with heartbeats():
                return await self._unpack(version)
        except ApplicationError:
            raise
        except Exception as error:
            raise _failure(error) from error

    @activity.defn(name="admit_member")
    async def admit_member(self, request: AdmitMemberInput) -> AdmittedMember:
        try:
            return await self._admit(request)
        except ApplicationError:
            raise
        except Exception as error:
            raise _failure(error) from error

    # ── unpacking ───────────────────────────────────────────────────────────────────────────────

    async def _unpack(self, version: VersionReference) -> UnpackResult:
        async with self._runner.transaction(version) as session:
            opening = await self._runner.open(session, version, is_published=True)
            container = await members.container_of(session, version.file_id)
            known = await members.known_members(session, version.version_id)
            plan_output = (await outputs_of(session, version.job_id, StageName.INSPECT))[0]
        if container.depth >= MAXIMUM_DEPTH:
            raise LimitExceeded(f"Archives are nested more than {MAXIMUM_DEPTH} deep.")
        artifacts = self._runner.artifacts
        plan = await artifacts.load(version.tenant_id, plan_output.blob_id, DocumentPlan)
        # What this version gave on an earlier attempt comes out again, and counts once.
        used_bytes = container.descendant_bytes - known.size_bytes
        used_entries = container.descendants - len(known.ordinals)
        request = UnpackRequest(
            media_type=plan.media_type,
            password=await artifacts.load_password(version.tenant_id, opening),
            total_bytes=max(0, MAXIMUM_TOTAL_BYTES - used_bytes),
            entries=max(0, MAXIMUM_ENTRIES - used_entries),
        )
        try:
            outcome = await self._receive(version, opening, container, request, known.ordinals)
        except (DocumentError, EngineError, QuotaExceeded) as error:
            if not is_final(error, activity.info().attempt):
                raise
            return await self._what_was_kept(version, error)
        return UnpackResult(taken=outcome.taken, refused=outcome.refused)

    async def _what_was_kept(self, version: VersionReference, error: MunimentError) -> UnpackResult:
        """The container gives no more, but what came out of it is worth ingesting. Raises the error
        where nothing did."""
        async with self._runner.transaction(version) as session:
            kept = (await members.known_members(session, version.version_id)).ordinals
        if not kept:
            raise error
        logger.warning("a container was unpacked in part", extra={"reason": error.problem})
        return UnpackResult(taken=max(kept) + 1, refused=1)

    async def _receive(
        self,
        version: VersionReference,
        opening: Opening,
        container: Container,
        request: UnpackRequest,
        known: frozenset[int],
    ) -> UnpackOutcome:
        async def keep(ordinal: int, path: str, sealed: SealedBlob) -> None:
            await self._keep(version, container, ordinal, path, sealed)

        receiver = MemberReceiver(
            lambda pieces: self._blobs.put(version.tenant_id, pieces), keep, known
        )
        try:
            async with self._scratch.opened(
                version.tenant_id, opening.content_blob_id, opening.content_size
            ) as content:
                return await self._sandbox.run(
                    EngineCall("unpack", request, UnpackOutcome),
                    content=content,
                    limits=_LIMITS,
                    on_progress=receiver.take,
                )
        finally:
            await asyncio.shield(receiver.stop())

    async def _keep(
        self,
        version: VersionReference,
        container: Container,
        ordinal: int,
        path: str,
        sealed: SealedBlob,
    ) -> None:
        """Makes the member's file: of the container's owner, in its collection."""
        blob_id = None
        try:
            async with self._runner.transaction(version) as session:
                job = await self._runner.relock(session, version)
                blob_id = await uploads.adopt_content(session, version.tenant_id, sealed)
                parent = await members.lock_file(session, version.file_id)
                if FileState(parent.state) in UNTOUCHED_STATES:
                    raise erased()
                file = _file(parent, version, container, ordinal, path)
                first = first_version(file, blob_id, sealed)
                await uploads.add_file(session, file, first, self._default_quota)
                record(session, _act(file, sealed, version, job))
        except QuotaExceeded:
            blob_id = None
            raise
        finally:
            # What was adopted stays whatever else went wrong: of a COMMIT whose answer was lost nobody
            # knows yet whether it happened, and the integrity check finds what nothing refers to.
            if blob_id != sealed.blob_id:
                unneeded = NewBlob(sealed.blob_id, sealed.size, sealed.sha256)
                await self._runner.discard(version.tenant_id, unneeded)

    # ── admission ───────────────────────────────────────────────────────────────────────────────

    async def _admit(self, request: AdmitMemberInput) -> AdmittedMember:
        async with self._runner.transaction(request.version) as session:
            await self._runner.relock(session, request.version)
            parent_job = await get_job(session, request.version.job_id)
            member = await members.find_member(session, request.version.version_id, request.ordinal)
            if parent_job is None:
                raise Gone("The job is no longer there.")
            if member is None:
                return AdmittedMember(degraded=True)
            if member.file.state in OUT_OF_SIGHT:
                return AdmittedMember(degraded=_was_passed_over(member))
            job = member.job
            if job is not None and job.state in _OVER:
                is_whole = job.state == JobState.COMPLETED and not job.degraded
                if is_whole or job.created_at >= parent_job.created_at:
                    return AdmittedMember(degraded=not is_whole)
            if job is None or job.state in _OVER:
                job = _new_job(member, parent_job, request.priority)
                session.add(job)
                await session.flush()
            return AdmittedMember(
                version=VersionReference(
                    tenant_id=request.version.tenant_id,
                    file_id=member.file.id,
                    version_id=member.version.id,
                    job_id=job.id,
                ),
                workflow_id=job.workflow_id,
            )


def _failure(error: Exception) -> ApplicationError:
    """What nobody foresaw is tried a few times, and not for a week."""
    if not isinstance(error, MunimentError):
        logger.exception("members could not be taken out")
    return application_error(error, activity.info().attempt)


def _was_passed_over(member: Member) -> bool:
    """Whether it lies in the trash unread: degraded by that, the container can be retried once it
    is restored. What was read before, or erased, is not missed."""
    is_read = member.job is not None and member.job.state == JobState.COMPLETED
    return member.file.state == FileState.TRASHED and not is_read


def _file(
    parent: File, version: VersionReference, container: Container, ordinal: int, path: str
) -> File:
    name = PurePosixPath(path).name
    is_trashed = parent.state == FileState.TRASHED
    return File(
        id=new_id(),
        tenant_id=parent.tenant_id,
        collection_id=parent.collection_id,
        owner_id=parent.owner_id,
        name=name,
        state=FileState.TRASHED if is_trashed else FileState.RECEIVED,
        trashed_from=FileState.RECEIVED if is_trashed else None,
        # Restoring the container brings back what left with it, which the moment tells.
        trashed_at=parent.trashed_at if is_trashed else None,
        media_type=media_type_of_name(name),
        parent_id=parent.id,
        parent_version_id=version.version_id,
        root_id=container.root_id,
        member_ordinal=ordinal,
        member_path=path,
    )


def _act(file: File, sealed: SealedBlob, version: VersionReference, job: JobRow) -> Act:
    return Act(
        action="file.unpacked",
        object_type="file",
        object_id=file.id,
        tenant_id=file.tenant_id,
        payload={
            "parent_id": str(version.file_id),
            "job_id": str(job.id),
            "size": sealed.size,
        },
    )


def _new_job(member: Member, parent_job: Job, priority: int) -> Job:
    """Noted as started, since the workflow that asked starts it: the reconciler has no part in it,
    and what is not started when that one is over is ended with the lost jobs."""
    origin = Origin(
        parent_job.tenant_id,
        parent_job.requested_by,
        parent_job.request_id,
        parent_job.trace_parent,
    )
    job = new_ingestion(origin, member.version, retry_of=member.job, priority=priority)
    job.started_at = now()
    return job
