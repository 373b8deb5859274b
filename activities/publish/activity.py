"""Temporal's face of stage `publish`."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.assemble.calls import TextFacts
from activities.assemble.product import AssembleSummary
from activities.classify.further_places import further_places
from activities.classify.tokens import tokens_of
from activities.embed.vectors import ChunkVectors, VectorsByModel, fingerprint_of, from_bytes
from activities.failures import erased
from activities.pages import load_batches
from activities.publish.extracted import extracted
from activities.publish.graphs import prepare_indexes
from activities.publish.sealing import (
    PublishedKey,
    published_key,
    sealed_chunks,
    without_words,
)
from activities.publish.word_language import word_language
from activities.stage import StageRunner
from activities.text_hashes import text_hashes
from db.audit import Act, record
from db.queries.finding_policies import judgement_of
from db.queries.findings import JudgedFinding, replace_findings
from db.queries.index_versions import VectorsLacking, entered_by
from db.queries.jobs import JobRow
from db.queries.preservation import keeps_what_is_read
from db.queries.publish import (
    NewChunk,
    Publication,
    add_layers,
    keep_text_key,
    lock_target,
    mark_published,
    replace_chunks,
    replace_pages,
    text_mode_of_file,
)
from db.queries.stages import UNTOUCHED_STATES, outputs_of
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import ChunkList, DocumentPlan, FindingList, PageBatch
from muniment.contracts.findings import FindingAct, Judgement
from muniment.contracts.jobs import StageName, StageState
from muniment.contracts.publish import PublishActivities, PublishInput, PublishResult
from muniment.contracts.text_modes import TextMode
from muniment.errors import Conflict, DatabaseUnavailable, Gone, ObjectMissing, Preserved
from muniment.objects import SealedTexts
from muniment.sealing import KeyManagement
from muniment.task_group import task_group


@dataclass(frozen=True)
class _Material:
    """Everything that is published, opened before the transaction starts."""

    plan: DocumentPlan
    chunks: list[NewChunk]
    vectors: VectorsByModel
    findings: FindingList
    judged: list[JudgedFinding]
    may_mask: bool = False
    text_key: PublishedKey | None = None

    @property
    def text_mode(self) -> TextMode:
        return TextMode.FULL if self.text_key is None else TextMode.ENCRYPTED_TEXT


COMPLETIONS = 3
"""How often vectors are made that came to be wanted while others were; index versions change by the day."""


class _PublishedMeanwhile(Exception):
    """By another attempt that was thought to be lost."""


class Publish(PublishActivities):
    """`vectors` makes those that stage `embed` did not know were wanted: an index version was begun, or
    activated, since."""

    def __init__(
        self, runner: StageRunner, keys: KeyManagement, texts: SealedTexts, vectors: ChunkVectors
    ) -> None:
        self._runner = runner
        self._keys = keys
        self._texts = texts
        self._vectors = vectors

    @activity.defn(name="publish_version")
    async def publish_version(self, request: PublishInput) -> PublishResult:
        version = request.version
        async with self._runner.attempt(version, StageName.PUBLISH):
            material = await self._load(request)
            if not await self._is_published(version):
                with suppress(_PublishedMeanwhile):
                    await self._publish_with_key(request, material)
        return PublishResult(chunk_count=len(material.chunks))

    async def _is_published(self, version: VersionReference) -> bool:
        """Whether an attempt before did it, whose end was lost on its way: what it published is what readers
        see, by ids and times that others may have written down."""
        async with self._runner.transaction(version) as session:
            opening = await self._runner.open(session, version)
        return _was_published(opening.job)

    async def _publish_with_key(self, request: PublishInput, material: _Material) -> None:
        version = request.version
        text_key = await self._text_key(version)
        try:
            if text_key is not None:
                chunks = await sealed_chunks(text_key.key, version, material.chunks)
                material = replace(material, chunks=chunks, text_key=text_key)
            await self._publish_whole(request, material)
        except BaseException:
            if text_key is not None:
                await self._runner.discard(version.tenant_id, text_key.blob)
            raise

    async def _text_key(self, version: VersionReference) -> PublishedKey | None:
        """A new one for each publication; None where the collection has its texts in the clear."""
        async with self._runner.transaction(version) as session:
            mode = await text_mode_of_file(session, version.file_id)
        if mode is TextMode.FULL:
            return None
        return published_key(await self._texts.make_key(version.tenant_id))

    async def _publish_whole(self, request: PublishInput, material: _Material) -> None:
        """With vectors for every index version that it enters."""
        for _ in range(COMPLETIONS):
            vectors = await self._completed(request.version, material)
            material = replace(material, vectors=vectors)
            try:
                await self._publish(request, material)
            except VectorsLacking:
                continue
            return
        raise DatabaseUnavailable("The index versions changed again and again meanwhile.")

    async def _completed(self, version: VersionReference, material: _Material) -> VectorsByModel:
        wanted = await self._vectors.wanted(version)
        missing = [model for model in wanted if model not in material.vectors]
        if not missing:
            return material.vectors
        chunks = [new.chunk for new in material.chunks]
        hashes = [new.text_hash for new in material.chunks]
        made = await self._vectors.make(version, chunks, hashes, missing)
        return {**material.vectors, **made.vectors}

    async def _publish(self, request: PublishInput, material: _Material) -> None:
        version = request.version
        await prepare_indexes(
            self._runner, version, material.vectors, self._vectors.known(), len(material.chunks)
        )
        async with self._runner.transaction(version) as session:
            # The job's row first, then the file's: everyone locks in this order.
            opening = await self._runner.open(session, version)
            job = await self._runner.begin(session, opening, StageName.PUBLISH)
            if _was_published(job):
                raise _PublishedMeanwhile
            await self._swap(session, request, material)
            await self._runner.finish(session, job, StageName.PUBLISH)

    async def _swap(
        self, session: AsyncSession, request: PublishInput, material: _Material
    ) -> None:
        version = request.version
        target = await lock_target(session, version)
        if target is None:
            raise Gone("The file is no longer there.")
        if target.state in UNTOUCHED_STATES:
            raise erased()
        await _require_unkept(session, version)
        if target.text_mode is not material.text_mode:
            raise Conflict("The file's collection changed how it keeps text.")
        key = material.text_key
        if key is not None:
            await keep_text_key(session, version, key.blob)
        facts = await _text_facts(session, version)
        if target.is_newest:
            entered = await entered_by(
                session, version.tenant_id, material.vectors, self._vectors.known()
            )
            vectors = {index: material.vectors[model] for index, model in entered.items()}
            key_id = None if key is None else key.blob.blob_id
            # What a document says of itself is often what its author's program was set to.
            language = word_language(facts.language or material.plan.language)
            await replace_chunks(session, version, material.chunks, vectors, key_id, language)
        await replace_findings(session, version, material.judged)
        await replace_pages(session, version)
        await add_layers(session, version)
        publication = _publication(request, material, facts)
        await mark_published(session, version, target, publication)
        record(session, _act(version, len(material.chunks)))

    async def _load(self, request: PublishInput) -> _Material:
        artifacts, tenant_id = self._runner.artifacts, request.version.tenant_id
        async with task_group() as reads:
            plan = reads.create_task(artifacts.load(tenant_id, request.plan.blob_id, DocumentPlan))
            chunk_list = reads.create_task(
                artifacts.load(tenant_id, request.chunks.blob_id, ChunkList)
            )
            findings = reads.create_task(
                artifacts.load(tenant_id, request.findings.blob_id, FindingList)
            )
            stored_vectors = reads.create_task(
                artifacts.load_bytes(tenant_id, request.vectors.blob_id)
            )
        chunks = chunk_list.result().chunks
        default = self._vectors.default()
        # A job between `embed` and here may have its vectors from a release with another model.
        is_default = request.vectors.fingerprint == fingerprint_of([default], request.chunks)
        vectors = from_bytes(stored_vectors.result(), default if is_default else None)
        if any(len(matrix) != len(chunks) for matrix in vectors.values()):
            raise ObjectMissing("There is not a vector for every chunk.")
        hashes = await text_hashes(self._keys, tenant_id, chunks)
        new_chunks = [
            NewChunk(chunk, text_hash) for chunk, text_hash in zip(chunks, hashes, strict=True)
        ]
        judgement = await self._judgement(request)
        judged = await self._judged(request, findings.result(), judgement)
        may_mask = judgement is not None and judgement.may_mask
        return _Material(plan.result(), new_chunks, vectors, findings.result(), judged, may_mask)

    async def _judgement(self, request: PublishInput) -> Judgement | None:
        if not request.is_judged:
            return None
        async with self._runner.transaction(request.version) as session:
            judgement = await judgement_of(session, request.version.job_id)
        if judgement is None:
            raise Gone("What was asked for of the findings is no longer there.")
        return judgement

    async def _judged(
        self, request: PublishInput, findings: FindingList, judgement: Judgement | None
    ) -> list[JudgedFinding]:
        """With what this job's policies asked for, and the tokens that stand in the passages. What is masked
        has a finding wherever it stands, so that its pages are shown with tokens there too."""
        version = request.version
        if judgement is None:
            return [JudgedFinding(finding) for finding in findings.findings]
        async with self._runner.transaction(version) as session:
            outputs = await outputs_of(session, version.job_id, StageName.READ)
        batches: Sequence[PageBatch] = ()
        if judgement.may_mask:
            batches = await load_batches(self._runner.artifacts, version, outputs)
        pages = [page for batch in batches for page in batch.pages]
        masked = await tokens_of(self._keys, version.tenant_id, judgement, findings.findings, pages)
        tokens = {each.finding: each.token for each in masked}
        judged = [
            JudgedFinding(finding, judgement.act_on(finding), tokens.get(finding))
            for finding in findings.findings
        ]
        again = await asyncio.to_thread(further_places, masked, pages)
        return judged + [JudgedFinding(each.finding, FindingAct.MASK, each.token) for each in again]


def _was_published(job: JobRow) -> bool:
    return job.stage_progress(StageName.PUBLISH).state is StageState.COMPLETED


async def _require_unkept(session: AsyncSession, version: VersionReference) -> None:
    """Whoever asked for the job may have asked before something kept the file."""
    if await keeps_what_is_read(session, version.file_id):
        raise Preserved(
            "the file must be kept as its readers see it",
            remedy="Retry the job when nothing keeps the file any more.",
        )


async def _text_facts(session: AsyncSession, version: VersionReference) -> TextFacts:
    (output,) = await outputs_of(session, version.job_id, StageName.ASSEMBLE)
    return AssembleSummary.model_validate(output.summary).facts


def _publication(request: PublishInput, material: _Material, facts: TextFacts) -> Publication:
    chunks = [new.chunk for new in material.chunks]
    is_masked = any(judged.token for judged in material.judged)
    # What is found in a member is not known yet, and the container hands it out.
    is_masked = is_masked or (material.may_mask and material.plan.member_count > 0)
    known = extracted(material.plan, facts, chunks, material.findings)
    if is_masked:
        # Bookmarks are headings as they stand in the file.
        known = {name: value for name, value in known.items() if name != "outline"}
    if material.text_mode is not TextMode.FULL:
        known = without_words(known)
    return Publication(
        document_blob_id=request.document.blob_id,
        media_type=material.plan.media_type,
        page_count=material.plan.page_count,
        degraded=request.degraded,
        extracted=known,
        is_masked=is_masked,
    )


def _act(version: VersionReference, chunk_count: int) -> Act:
    return Act(
        action="version.publish",
        object_type="file",
        object_id=version.file_id,
        tenant_id=version.tenant_id,
        payload={"version_id": str(version.version_id), "chunks": chunk_count},
    )
