"""Temporal's face of stage `publish`."""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.assemble.activity import AssembleSummary
from activities.assemble.calls import TextFacts
from activities.failures import erased
from activities.publish.extracted import extracted
from activities.stage import StageRunner
from activities.text_hashes import text_hashes
from db.audit import Act, record
from db.queries.publish import (
    IndexModel,
    NewChunk,
    Publication,
    active_index,
    add_layers,
    lock_target,
    mark_published,
    replace_chunks,
    replace_findings,
    replace_pages,
)
from db.queries.stages import UNTOUCHED_STATES, outputs_of
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import ChunkList, DocumentPlan, FindingList
from muniment.contracts.jobs import StageName
from muniment.contracts.publish import PublishActivities, PublishInput, PublishResult
from muniment.errors import Gone, ObjectMissing
from muniment.sealing import KeyManagement
from muniment.task_group import task_group


@dataclass(frozen=True)
class _Material:
    """Everything that is published, opened before the transaction starts."""

    plan: DocumentPlan
    chunks: list[NewChunk]
    vectors: npt.NDArray[np.float32]
    findings: FindingList


class Publish(PublishActivities):
    """`model` is the one that made the vectors."""

    def __init__(self, runner: StageRunner, keys: KeyManagement, model: IndexModel) -> None:
        self._runner = runner
        self._keys = keys
        self._model = model

    @activity.defn(name="publish_version")
    async def publish_version(self, request: PublishInput) -> PublishResult:
        version = request.version
        async with self._runner.attempt(version, StageName.PUBLISH):
            material = await self._load(request)
            async with self._runner.transaction(version) as session:
                # The job's row first, then the file's: everyone locks in this order.
                opening = await self._runner.open(session, version)
                job = await self._runner.begin(session, opening, StageName.PUBLISH)
                await self._swap(session, request, material)
                await self._runner.finish(session, job, StageName.PUBLISH)
        return PublishResult(chunk_count=len(material.chunks))

    async def _swap(
        self, session: AsyncSession, request: PublishInput, material: _Material
    ) -> None:
        version = request.version
        target = await lock_target(session, version)
        if target is None:
            raise Gone("The file is no longer there.")
        if target.state in UNTOUCHED_STATES:
            raise erased()
        if target.is_newest:
            index = await active_index(session, version.tenant_id, self._model)
            await replace_chunks(session, version, material.chunks, material.vectors, index)
        await replace_findings(session, version, material.findings.findings)
        await replace_pages(session, version)
        await add_layers(session, version)
        publication = _publication(request, material, await _text_facts(session, version))
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
        vectors = np.load(io.BytesIO(stored_vectors.result()), allow_pickle=False)
        if len(vectors) != len(chunks):
            raise ObjectMissing("There is not a vector for every chunk.")
        hashes = await text_hashes(self._keys, tenant_id, chunks)
        new_chunks = [
            NewChunk(chunk, text_hash) for chunk, text_hash in zip(chunks, hashes, strict=True)
        ]
        return _Material(plan.result(), new_chunks, vectors, findings.result())


async def _text_facts(session: AsyncSession, version: VersionReference) -> TextFacts:
    (output,) = await outputs_of(session, version.job_id, StageName.ASSEMBLE)
    return AssembleSummary.model_validate(output.summary).facts


def _publication(request: PublishInput, material: _Material, facts: TextFacts) -> Publication:
    return Publication(
        document_blob_id=request.document.blob_id,
        media_type=material.plan.media_type,
        page_count=material.plan.page_count,
        degraded=request.degraded,
        extracted=extracted(
            material.plan,
            facts,
            [new.chunk for new in material.chunks],
            material.findings,
        ),
    )


def _act(version: VersionReference, chunk_count: int) -> Act:
    return Act(
        action="version.publish",
        object_type="file",
        object_id=version.file_id,
        tenant_id=version.tenant_id,
        payload={"version_id": str(version.version_id), "chunks": chunk_count},
    )
