"""The synchronous client."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx
from pydantic import JsonValue

from muniment.client import calls
from muniment.client.answering import Part, streamed_answer
from muniment.client.blocking import Blocking
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
from muniment.client.operations import Resource
from muniment.client.protocol import (
    DEFAULT_TIMEOUT_SECONDS,
    Parameters,
    Protocol,
    trusts_environment,
    verification,
)
from muniment.client.resources.annotations import Annotations
from muniment.client.resources.api_keys import ApiKeys
from muniment.client.resources.collections import Collections
from muniment.client.resources.files import FileOperations
from muniment.client.resources.grants import Grants
from muniment.client.resources.groups import Groups
from muniment.client.resources.integrity import Integrity
from muniment.client.resources.invitations import Invitations
from muniment.client.resources.key_rotations import Keys
from muniment.client.resources.models import Models
from muniment.client.resources.principals import Principals
from muniment.client.resources.shares import Shares
from muniment.client.resources.tenant import TenantOwnOperations
from muniment.client.resources.tenants import Tenants
from muniment.client.resources.tier_policies import TierPolicies
from muniment.client.resources.webhooks import Webhooks
from muniment.client.retry import Retry
from muniment.client.sending import send
from muniment.client.upload import OnConflict, ProgressCallback, Upload
from muniment.client.versions import VersionComparison


class Muniment(TenantOwnOperations, Resource):
    """Muniment's API over HTTP.

        with Muniment() as muniment:
            file = muniment.upload("report.pdf")
            for job in muniment.follow(file.job):
                print(job.percent)
            print(muniment.query("What was decided?").answer)

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        location = locate(url, key, home, ca_file=ca_file)
        protocol = Protocol(location.url, location.key, timeout_seconds, retry or Retry())
        client = httpx.Client(
            transport=transport,
            verify=verification(location.ca_file),
            trust_env=trusts_environment(location.url),
        )
        super().__init__(protocol, Blocking(client))
        self.files = Files(self._protocol, self._run)
        self.jobs = Jobs(self._protocol, self._run)
        self.batches = Batches(self._protocol, self._run)
        self.comparisons = Comparisons(self._protocol, self._run)
        self.shares = Shares(self._protocol, self._run)
        self.keys = Keys(self._protocol, self._run)
        self.annotations = Annotations(self._protocol, self._run)
        self.collections = Collections(self._protocol, self._run)
        self.principals = Principals(self._protocol, self._run)
        self.groups = Groups(self._protocol, self._run)
        self.grants = Grants(self._protocol, self._run)
        self.api_keys = ApiKeys(self._protocol, self._run)
        self.invitations = Invitations(self._protocol, self._run)
        self.webhooks = Webhooks(self._protocol, self._run)
        self.integrity = Integrity(self._protocol, self._run)
        self.tenants = Tenants(self._protocol, self._run)
        self.tier_policies = TierPolicies(self._protocol, self._run)
        self.models = Models(self._protocol, self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._run.close()

    def upload(
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
        return self._run.run(send(self._protocol, upload))

    def upload_version(
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
        return self._run.run(send(self._protocol, upload))

    def follow(self, job: Job) -> Iterator[Job]:
        """The job as it is now, then after every change, over broken connections, until it ends."""
        return self._run.iterate(follow(self._protocol, job))

    def events(self, last_event_id: str | None = None) -> Iterator[Event]:
        """The events of all jobs of the tenant, without end."""
        return self._run.iterate(tenant_events(self._protocol, last_event_id))

    def search(
        self,
        query: str,
        *,
        mode: SearchMode = "hybrid",
        top_k: int = 10,
        collection: str | None = None,
        filters: Mapping[str, JsonValue] | None = None,
    ) -> SearchResult:
        call = calls.search(query, mode, top_k, collection, filters)
        return self._run.run(self._protocol.call(call))

    def query(self, question: str, *, top_k: int = 8, generate: Generate = "auto") -> Answer:
        """An answer with its citations."""
        return self._run.run(self._protocol.call(calls.query(question, top_k, generate)))

    def query_stream(
        self, question: str, *, top_k: int = 8, generate: Generate = "auto"
    ) -> Iterator[Part]:
        """The same, word by word; the whole Answer comes last."""
        return self._run.iterate(streamed_answer(self._protocol, question, top_k, generate))


class Files(FileOperations, Resource):
    """`/v1/files`."""

    def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        filters: Parameters | None = None,
    ) -> Listing[File]:
        """Newest first; `filters` as the API names them (`name~`, `state`, `media_type`…)."""
        return self._run.run(self._protocol.call(calls.list_files(limit, cursor, filters or {})))

    def get(self, file_id: Id) -> File:
        return self._run.run(self._protocol.call(calls.get_file(file_id)))

    def delete(self, file_id: Id, *, permanent: bool = False) -> File | Job:
        """Puts the file into the trash; with `permanent` erases it, and returns the erasure job."""
        return self._run.run(self._protocol.call(calls.delete_file(file_id, permanent=permanent)))

    def restore(self, file_id: Id) -> File:
        return self._run.run(self._protocol.call(calls.restore_file(file_id)))

    def content(self, file_id: Id, target: Path, *, version: int | None = None) -> Path:
        """Downloads the original to `target`, resuming where a connection broke."""
        return self._run.run(download(self._protocol, file_id, target, version))

    def archive(self, files: Sequence[Id | tuple[Id, int]], target: Path) -> Path:
        """Downloads the files, or versions of them by number, as one ZIP archive."""
        return self._run.run(download_archive(self._protocol, files, target))

    def reprocess(
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
        return self._run.run(self._protocol.call(call))

    def compare(
        self, file_id: Id, *, ocr_engine: str | None = None, pdf_pipeline: str | None = None
    ) -> Job:
        """Reads the published version by that engine and pipeline beside what is published, and
        compares the two; without any, by what the workers read with now."""
        call = calls.compare_file(file_id, ocr_engine, pdf_pipeline)
        return self._run.run(self._protocol.call(call))

    def versions(self, file_id: Id) -> Listing[Version]:
        return self._run.run(self._protocol.call(calls.list_versions(file_id)))

    def compare_versions(
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
        return self._run.run(self._protocol.call(call))

    def pages(self, file_id: Id, *, limit: int = 50, cursor: str | None = None) -> Listing[Page]:
        return self._run.run(self._protocol.call(calls.list_pages(file_id, limit, cursor)))

    def page(self, file_id: Id, page: int, *, layer: str | None = None) -> Page:
        """The page; with `layer` as that engine read it, of those that its `layers` name."""
        return self._run.run(self._protocol.call(calls.get_page(file_id, page, layer)))

    def document(self, file_id: Id, *, version: int | None = None) -> JsonValue:
        """The DoclingDocument as JSON; docling-core's own model reads it."""
        return self._run.run(self._protocol.call(calls.get_document(file_id, version)))

    def markdown(self, file_id: Id, *, version: int | None = None) -> str:
        return self._run.run(self._protocol.call(calls.get_markdown(file_id, version)))

    def text(self, file_id: Id, *, version: int | None = None) -> str:
        return self._run.run(self._protocol.call(calls.get_text(file_id, version)))

    def page_image(
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
        return self._run.run(self._protocol.call(call))

    def thumbnail(
        self, file_id: Id, *, image_format: ImageFormat = "webp", version: int | None = None
    ) -> bytes:
        """The first page, 256 pixels on its longer side."""
        call = calls.get_thumbnail(file_id, image_format, version)
        return self._run.run(self._protocol.call(call))

    def chunks(self, file_id: Id, *, limit: int = 50, cursor: str | None = None) -> Listing[Chunk]:
        return self._run.run(self._protocol.call(calls.list_chunks(file_id, limit, cursor)))


class Jobs(Resource):
    """`/v1/jobs`. What a job's state forbids raises Conflict."""

    def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        filters: Parameters | None = None,
    ) -> Listing[Job]:
        return self._run.run(self._protocol.call(calls.list_jobs(limit, cursor, filters or {})))

    def get(self, job_id: Id) -> Job:
        return self._run.run(self._protocol.call(calls.get_job(job_id)))

    def events(self, job_id: Id, last_event_id: str | None = None) -> Iterator[Event]:
        """The job's events until its end, each once; `last_event_id` goes on after that one."""
        return self._run.iterate(job_events(self._protocol, job_id, last_event_id))

    def cancel(self, job_id: Id) -> Job:
        return self._run.run(self._protocol.call(calls.tell_job(job_id, "cancel")))

    def pause(self, job_id: Id) -> Job:
        return self._run.run(self._protocol.call(calls.tell_job(job_id, "pause")))

    def resume(self, job_id: Id) -> Job:
        return self._run.run(self._protocol.call(calls.tell_job(job_id, "resume")))

    def release(self, job_id: Id, *, reason: str | None = None) -> Job:
        """Lets a quarantined file go on; the reason is kept with the decision."""
        return self._run.run(self._protocol.call(calls.decide_job(job_id, "release", reason)))

    def reject(self, job_id: Id, *, reason: str | None = None) -> Job:
        """Refuses a quarantined file; the reason is kept with the decision."""
        return self._run.run(self._protocol.call(calls.decide_job(job_id, "reject", reason)))

    def retry(
        self, job_id: Id, *, pages: tuple[int, ...] | None = None, password: str | None = None
    ) -> Job:
        """Starts a new job that heals an ended one, or only some of its pages. A password of an
        encrypted document has to be given again."""
        return self._run.run(self._protocol.call(calls.retry_job(job_id, pages, password)))

    def reprioritise(self, job_id: Id, priority: int) -> Job:
        """`priority` is 1 (first) to 5."""
        return self._run.run(self._protocol.call(calls.reprioritise_job(job_id, priority)))


class Batches(Resource):
    """`/v1/batches`. What a batch's state forbids raises Conflict."""

    def create(self, file_ids: Sequence[Id], *, priority: int | None = None) -> Batch:
        """Brings uploaded files to ready."""
        return self._run.run(self._protocol.call(calls.create_batch(file_ids, priority)))

    def import_from(
        self,
        source: str,
        prefix: str = "",
        *,
        collection: str | None = None,
        priority: int | None = None,
    ) -> Batch:
        """Takes in what lies in a source that the operator named, below the prefix."""
        call = calls.create_import(source, prefix, collection, priority)
        return self._run.run(self._protocol.call(call))

    def list(self, *, limit: int = 50, cursor: str | None = None) -> Listing[Batch]:
        return self._run.run(self._protocol.call(calls.list_batches(limit, cursor)))

    def get(self, batch_id: Id) -> Batch:
        return self._run.run(self._protocol.call(calls.get_batch(batch_id)))

    def cancel(self, batch_id: Id) -> Batch:
        """Cancels what is at work for it, too."""
        return self._run.run(self._protocol.call(calls.tell_batch(batch_id, "cancel")))

    def pause(self, batch_id: Id) -> Batch:
        """Begins no further file."""
        return self._run.run(self._protocol.call(calls.tell_batch(batch_id, "pause")))

    def resume(self, batch_id: Id) -> Batch:
        return self._run.run(self._protocol.call(calls.tell_batch(batch_id, "resume")))


class Comparisons(Resource):
    """`/v1/reading-comparisons`: what a candidate would read otherwise."""

    def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        filters: Parameters | None = None,
    ) -> Listing[ReadingComparison]:
        """Newest first; `filters` as the API names them (`candidate`, `file`, `state`)."""
        call = calls.list_comparisons(limit, cursor, filters or {})
        return self._run.run(self._protocol.call(call))

    def summary(
        self, *, candidate: str | None = None, since: datetime | None = None, worst: int = 10
    ) -> ComparisonSummary:
        """By candidate, each with so many of its worst files."""
        call = calls.summarise_comparisons(candidate, since, worst)
        return self._run.run(self._protocol.call(call))
