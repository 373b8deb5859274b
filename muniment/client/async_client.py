"""The asynchronous client: the synchronous one, with `await` and `async for`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx
from pydantic import JsonValue

from muniment.client import calls
from muniment.client.answering import Part, streamed_answer
from muniment.client.awaiting import Awaiting
from muniment.client.building import Id
from muniment.client.calls import Generate, ImageFormat, SearchMode
from muniment.client.comparisons import ComparisonSummary, ReadingComparison
from muniment.client.download import download, download_archive
from muniment.client.events import Event, job_events, tenant_events
from muniment.client.following import follow
from muniment.client.location import locate
from muniment.client.models import (
    Answer,
    Batch,
    Chunk,
    File,
    Job,
    Listing,
    Page,
    SearchResult,
    Version,
)
from muniment.client.operations import AsyncResource
from muniment.client.protocol import (
    DEFAULT_TIMEOUT_SECONDS,
    Parameters,
    Protocol,
    trusts_environment,
    verification,
)
from muniment.client.resources.annotations import AsyncAnnotations
from muniment.client.resources.api_keys import AsyncApiKeys
from muniment.client.resources.collections import AsyncCollections
from muniment.client.resources.files import FileOperations
from muniment.client.resources.grants import AsyncGrants
from muniment.client.resources.groups import AsyncGroups
from muniment.client.resources.integrity import AsyncIntegrity
from muniment.client.resources.invitations import AsyncInvitations
from muniment.client.resources.key_rotations import AsyncKeys
from muniment.client.resources.models import AsyncModels
from muniment.client.resources.principals import AsyncPrincipals
from muniment.client.resources.shares import AsyncShares
from muniment.client.resources.tenant import TenantOwnOperations
from muniment.client.resources.tenants import AsyncTenants
from muniment.client.resources.tier_policies import AsyncTierPolicies
from muniment.client.resources.webhooks import AsyncWebhooks
from muniment.client.retry import Retry
from muniment.client.sending import send
from muniment.client.upload import OnConflict, ProgressCallback, Upload
from muniment.client.versions import VersionComparison


class AsyncMuniment(TenantOwnOperations, AsyncResource):
    """Muniment's API over HTTP.

        async with AsyncMuniment() as muniment:
            file = await muniment.upload("report.pdf")
            async for job in muniment.follow(file.job):
                print(job.percent)
            print((await muniment.query("What was decided?")).answer)

    Without arguments it finds the stack as the command line does: MUNIMENT_API__URL and
    MUNIMENT_API__KEY, else the embedded stack of `home`, MUNIMENT_HOME or the user's default home.
    Every method raises ApiProblem (and with it the fitting class of muniment.errors) when the API
    refuses, ApiUnreachable when nothing answers after the retries.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        home: Path | None = None,
        ca_file: Path | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        retry: Retry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        location = locate(url, key, home, ca_file=ca_file)
        protocol = Protocol(location.url, location.key, timeout_seconds, retry or Retry())
        client = httpx.AsyncClient(
            transport=transport,
            verify=verification(location.ca_file),
            trust_env=trusts_environment(location.url),
        )
        super().__init__(protocol, Awaiting(client))
        self.files = AsyncFiles(self._protocol, self._run)
        self.jobs = AsyncJobs(self._protocol, self._run)
        self.batches = AsyncBatches(self._protocol, self._run)
        self.comparisons = AsyncComparisons(self._protocol, self._run)
        self.shares = AsyncShares(self._protocol, self._run)
        self.keys = AsyncKeys(self._protocol, self._run)
        self.annotations = AsyncAnnotations(self._protocol, self._run)
        self.collections = AsyncCollections(self._protocol, self._run)
        self.principals = AsyncPrincipals(self._protocol, self._run)
        self.groups = AsyncGroups(self._protocol, self._run)
        self.grants = AsyncGrants(self._protocol, self._run)
        self.api_keys = AsyncApiKeys(self._protocol, self._run)
        self.invitations = AsyncInvitations(self._protocol, self._run)
        self.webhooks = AsyncWebhooks(self._protocol, self._run)
        self.integrity = AsyncIntegrity(self._protocol, self._run)
        self.tenants = AsyncTenants(self._protocol, self._run)
        self.tier_policies = AsyncTierPolicies(self._protocol, self._run)
        self.models = AsyncModels(self._protocol, self._run)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._run.close()

    async def upload(
        self,
        source: Path | str | bytes | BinaryIO,
        *,
        name: str | None = None,
        collection: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        media_type: str | None = None,
        priority: int | None = None,
        password: str | None = None,
        on_conflict: OnConflict | None = None,
        verify: bool = False,
        progress: ProgressCallback | None = None,
        resumable: bool | None = None,
    ) -> File:
        """Streams a file in; its `job` ingests it.

        `verify` sends the content's SHA-256, which the API then checks. `password` opens an
        encrypted document and is not kept. From 64 MiB on, or as `resumable` says, a file whose
        connection broke goes on where it stopped; it does not say then whether it was
        `deduplicated`.
        """
        upload = Upload(
            source,
            name=name,
            collection=collection,
            metadata=metadata,
            media_type=media_type,
            priority=priority,
            password=password,
            on_conflict=on_conflict,
            verify=verify,
            progress=progress,
            resumable=resumable,
        )
        return await self._run.run(send(self._protocol, upload))

    async def upload_version(
        self,
        file_id: Id,
        source: Path | str | bytes | BinaryIO,
        *,
        name: str | None = None,
        media_type: str | None = None,
        priority: int | None = None,
        password: str | None = None,
        verify: bool = False,
        progress: ProgressCallback | None = None,
    ) -> File:
        """Streams a new version of a file in; its `job` ingests it."""
        upload = Upload(
            source,
            name=name,
            media_type=media_type,
            priority=priority,
            password=password,
            verify=verify,
            progress=progress,
            version_of=file_id,
        )
        return await self._run.run(send(self._protocol, upload))

    def follow(self, job: Job) -> AsyncIterator[Job]:
        """The job as it is now, then after every change, over broken connections, until it ends."""
        return self._run.iterate(follow(self._protocol, job))

    def events(self, last_event_id: str | None = None) -> AsyncIterator[Event]:
        """The events of all jobs of the tenant, without end."""
        return self._run.iterate(tenant_events(self._protocol, last_event_id))

    async def search(
        self,
        query: str,
        *,
        mode: SearchMode = "hybrid",
        top_k: int = 10,
        collection: str | None = None,
        filters: Mapping[str, JsonValue] | None = None,
    ) -> SearchResult:
        call = calls.search(query, mode, top_k, collection, filters)
        return await self._run.run(self._protocol.call(call))

    async def query(self, question: str, *, top_k: int = 8, generate: Generate = "auto") -> Answer:
        """An answer with its citations."""
        return await self._run.run(self._protocol.call(calls.query(question, top_k, generate)))

    def query_stream(
        self, question: str, *, top_k: int = 8, generate: Generate = "auto"
    ) -> AsyncIterator[Part]:
        """The same, word by word; the whole Answer comes last."""
        return self._run.iterate(streamed_answer(self._protocol, question, top_k, generate))


class AsyncFiles(FileOperations, AsyncResource):
    """`/v1/files`."""

    async def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        filters: Parameters | None = None,
    ) -> Listing[File]:
        """Newest first; `filters` as the API names them (`name~`, `state`, `media_type`…)."""
        return await self._run.run(
            self._protocol.call(calls.list_files(limit, cursor, filters or {}))
        )

    async def get(self, file_id: Id) -> File:
        return await self._run.run(self._protocol.call(calls.get_file(file_id)))

    async def delete(self, file_id: Id, *, permanent: bool = False) -> File | Job:
        """Puts the file into the trash; with `permanent` erases it, and returns the erasure job."""
        return await self._run.run(
            self._protocol.call(calls.delete_file(file_id, permanent=permanent))
        )

    async def restore(self, file_id: Id) -> File:
        return await self._run.run(self._protocol.call(calls.restore_file(file_id)))

    async def content(self, file_id: Id, target: Path, *, version: int | None = None) -> Path:
        """Downloads the original to `target`, resuming where a connection broke."""
        return await self._run.run(download(self._protocol, file_id, target, version))

    async def archive(self, files: Sequence[Id | tuple[Id, int]], target: Path) -> Path:
        """Downloads the files, or versions of them by number, as one ZIP archive."""
        return await self._run.run(download_archive(self._protocol, files, target))

    async def reprocess(
        self,
        file_id: Id,
        *,
        chunk_tokens: int | None = None,
        ocr_engine: str | None = None,
        pdf_pipeline: str | None = None,
        priority: int | None = None,
        password: str | None = None,
    ) -> Job:
        """Ingests the newest version anew; what the settings did not change is reused. A password
        of an encrypted document has to be given again."""
        call = calls.reprocess_file(
            file_id, chunk_tokens, ocr_engine, pdf_pipeline, priority, password
        )
        return await self._run.run(self._protocol.call(call))

    async def compare(
        self, file_id: Id, *, ocr_engine: str | None = None, pdf_pipeline: str | None = None
    ) -> Job:
        """Reads the published version by that engine and pipeline beside what is published, and
        compares the two; without any, by what the workers read with now."""
        call = calls.compare_file(file_id, ocr_engine, pdf_pipeline)
        return await self._run.run(self._protocol.call(call))

    async def versions(self, file_id: Id) -> Listing[Version]:
        return await self._run.run(self._protocol.call(calls.list_versions(file_id)))

    async def compare_versions(
        self,
        file_id: Id,
        number: int,
        other: int | None = None,
        *,
        unchanged: bool = False,
        limit: int = 20,
        cursor: str | None = None,
    ) -> VersionComparison:
        """What became of the pages of the other version (else the one before) in this one."""
        parameters: Parameters = {"unchanged": unchanged, "limit": limit, "cursor": cursor}
        call = calls.compare_versions(file_id, number, other, parameters)
        return await self._run.run(self._protocol.call(call))

    async def pages(
        self, file_id: Id, *, limit: int = 50, cursor: str | None = None
    ) -> Listing[Page]:
        return await self._run.run(self._protocol.call(calls.list_pages(file_id, limit, cursor)))

    async def page(self, file_id: Id, page: int, *, layer: str | None = None) -> Page:
        """The page; with `layer` as that engine read it, of those that its `layers` name."""
        return await self._run.run(self._protocol.call(calls.get_page(file_id, page, layer)))

    async def document(self, file_id: Id, *, version: int | None = None) -> JsonValue:
        """The DoclingDocument as JSON; docling-core's own model reads it."""
        return await self._run.run(self._protocol.call(calls.get_document(file_id, version)))

    async def markdown(self, file_id: Id, *, version: int | None = None) -> str:
        return await self._run.run(self._protocol.call(calls.get_markdown(file_id, version)))

    async def text(self, file_id: Id, *, version: int | None = None) -> str:
        return await self._run.run(self._protocol.call(calls.get_text(file_id, version)))

    async def page_image(
        self,
        file_id: Id,
        page: int,
        *,
        dpi: int | None = None,
        image_format: ImageFormat = "webp",
        version: int | None = None,
    ) -> bytes:
        """A picture of a page of a PDF or image; NotFound for formats without."""
        call = calls.get_page_image(file_id, page, dpi, image_format, version)
        return await self._run.run(self._protocol.call(call))

    async def thumbnail(
        self, file_id: Id, *, image_format: ImageFormat = "webp", version: int | None = None
    ) -> bytes:
        """The first page, 256 pixels on its longer side."""
        call = calls.get_thumbnail(file_id, image_format, version)
        return await self._run.run(self._protocol.call(call))

    async def chunks(
        self, file_id: Id, *, limit: int = 50, cursor: str | None = None
    ) -> Listing[Chunk]:
        return await self._run.run(self._protocol.call(calls.list_chunks(file_id, limit, cursor)))


class AsyncJobs(AsyncResource):
    """`/v1/jobs`. What a job's state forbids raises Conflict."""

    async def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        filters: Parameters | None = None,
    ) -> Listing[Job]:
        return await self._run.run(
            self._protocol.call(calls.list_jobs(limit, cursor, filters or {}))
        )

    async def get(self, job_id: Id) -> Job:
        return await self._run.run(self._protocol.call(calls.get_job(job_id)))

    def events(self, job_id: Id, last_event_id: str | None = None) -> AsyncIterator[Event]:
        """The job's events until its end, each once; `last_event_id` goes on after that one."""
        return self._run.iterate(job_events(self._protocol, job_id, last_event_id))

    async def cancel(self, job_id: Id) -> Job:
        return await self._run.run(self._protocol.call(calls.tell_job(job_id, "cancel")))

    async def pause(self, job_id: Id) -> Job:
        return await self._run.run(self._protocol.call(calls.tell_job(job_id, "pause")))

    async def resume(self, job_id: Id) -> Job:
        return await self._run.run(self._protocol.call(calls.tell_job(job_id, "resume")))

    async def release(self, job_id: Id, *, reason: str | None = None) -> Job:
        """Lets a quarantined file go on; the reason is kept with the decision."""
        return await self._run.run(self._protocol.call(calls.decide_job(job_id, "release", reason)))

    async def reject(self, job_id: Id, *, reason: str | None = None) -> Job:
        """Refuses a quarantined file; the reason is kept with the decision."""
        return await self._run.run(self._protocol.call(calls.decide_job(job_id, "reject", reason)))

    async def retry(
        self, job_id: Id, *, pages: tuple[int, ...] | None = None, password: str | None = None
    ) -> Job:
        """Starts a new job that heals an ended one, or only some of its pages. A password of an
        encrypted document has to be given again."""
        return await self._run.run(self._protocol.call(calls.retry_job(job_id, pages, password)))

    async def reprioritise(self, job_id: Id, priority: int) -> Job:
        """`priority` is 1 (first) to 5."""
        return await self._run.run(self._protocol.call(calls.reprioritise_job(job_id, priority)))


class AsyncBatches(AsyncResource):
    """`/v1/batches`. What a batch's state forbids raises Conflict."""

    async def create(self, file_ids: Sequence[Id], *, priority: int | None = None) -> Batch:
        """Brings uploaded files to ready."""
        return await self._run.run(self._protocol.call(calls.create_batch(file_ids, priority)))

    async def import_from(
        self,
        source: str,
        prefix: str = "",
        *,
        collection: str | None = None,
        priority: int | None = None,
    ) -> Batch:
        """Takes in what lies in a source that the operator named, below the prefix."""
        call = calls.create_import(source, prefix, collection, priority)
        return await self._run.run(self._protocol.call(call))

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Listing[Batch]:
        return await self._run.run(self._protocol.call(calls.list_batches(limit, cursor)))

    async def get(self, batch_id: Id) -> Batch:
        return await self._run.run(self._protocol.call(calls.get_batch(batch_id)))

    async def cancel(self, batch_id: Id) -> Batch:
        """Cancels what is at work for it, too."""
        return await self._run.run(self._protocol.call(calls.tell_batch(batch_id, "cancel")))

    async def pause(self, batch_id: Id) -> Batch:
        """Begins no further file."""
        return await self._run.run(self._protocol.call(calls.tell_batch(batch_id, "pause")))

    async def resume(self, batch_id: Id) -> Batch:
        return await self._run.run(self._protocol.call(calls.tell_batch(batch_id, "resume")))


class AsyncComparisons(AsyncResource):
    """`/v1/reading-comparisons`: what a candidate would read otherwise."""

    async def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        filters: Parameters | None = None,
    ) -> Listing[ReadingComparison]:
        """Newest first; `filters` as the API names them (`candidate`, `file`, `state`)."""
        call = calls.list_comparisons(limit, cursor, filters or {})
        return await self._run.run(self._protocol.call(call))

    async def summary(
        self, *, candidate: str | None = None, since: datetime | None = None, worst: int = 10
    ) -> ComparisonSummary:
        """By candidate, each with so many of its worst files."""
        call = calls.summarise_comparisons(candidate, since, worst)
        return await self._run.run(self._protocol.call(call))
