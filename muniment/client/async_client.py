"""The asynchronous client: the synchronous one, with `await` and `async for`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx
from pydantic import JsonValue

from muniment.client.answering import Part, streamed_answer, streamed_in_conversation
from muniment.client.awaiting import Awaiting
from muniment.client.building import Id
from muniment.client.conversation_socket import AsyncConversationSocket
from muniment.client.download import download, download_archive
from muniment.client.events import Event, answer_events, job_events, tenant_events
from muniment.client.following import follow
from muniment.client.location import locate
from muniment.client.models import (
    File,
    Job,
)
from muniment.client.operations import AsyncResource
from muniment.client.protocol import (
    DEFAULT_TIMEOUT_SECONDS,
    Protocol,
    trusts_environment,
    verification,
)
from muniment.client.resources.alike_questions import AsyncAlikeQuestions
from muniment.client.resources.analytics import AsyncAnalytics
from muniment.client.resources.annotations import AsyncAnnotations
from muniment.client.resources.answers import AnswerOperations, Generate
from muniment.client.resources.api_keys import AsyncApiKeys
from muniment.client.resources.audit import AsyncAuditTrail
from muniment.client.resources.batches import AsyncBatches
from muniment.client.resources.collections import AsyncCollections
from muniment.client.resources.conversations import AsyncFeedbacks, ConversationOperations
from muniment.client.resources.dispositions import AsyncDispositions
from muniment.client.resources.erasures import AsyncErasures
from muniment.client.resources.evaluations import AsyncEvaluations
from muniment.client.resources.files import FileOperations
from muniment.client.resources.findings import AsyncFindingPolicies, AsyncFindings
from muniment.client.resources.grants import AsyncGrants
from muniment.client.resources.groups import AsyncGroups
from muniment.client.resources.index_versions import AsyncIndexVersions
from muniment.client.resources.integrity import AsyncIntegrity
from muniment.client.resources.invitations import AsyncInvitations
from muniment.client.resources.jobs import JobOperations
from muniment.client.resources.key_rotations import AsyncKeys
from muniment.client.resources.legal_holds import AsyncLegalHolds
from muniment.client.resources.models import AsyncModels
from muniment.client.resources.principals import AsyncPrincipals
from muniment.client.resources.question_lists import AsyncQuestionLists
from muniment.client.resources.reading_comparisons import AsyncComparisons
from muniment.client.resources.retention import AsyncRetention
from muniment.client.resources.shares import AsyncShares
from muniment.client.resources.subject_requests import AsyncSubjectRequests
from muniment.client.resources.synonyms import AsyncSynonyms
from muniment.client.resources.tasks import AsyncTaskList
from muniment.client.resources.tenant import TenantOwnOperations
from muniment.client.resources.tenants import AsyncTenants
from muniment.client.resources.tier_policies import AsyncTierPolicies
from muniment.client.resources.webhooks import AsyncWebhooks
from muniment.client.retry import Retry
from muniment.client.sending import send
from muniment.client.upload import OnConflict, ProgressCallback, Upload
from muniment.client.web_sockets import SocketOptions


class AsyncMuniment(TenantOwnOperations, AnswerOperations, AsyncResource):
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
        verify = verification(location.ca_file)
        trusted = trusts_environment(location.url)
        client = httpx.AsyncClient(transport=transport, verify=verify, trust_env=trusted)
        super().__init__(protocol, Awaiting(client, SocketOptions(verify, trusted)))
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
        self.audit_trail = AsyncAuditTrail(self._protocol, self._run)
        self.conversations = AsyncConversations(self._protocol, self._run)
        self.feedback = AsyncFeedbacks(self._protocol, self._run)
        self.evaluations = AsyncEvaluations(self._protocol, self._run)
        self.question_lists = AsyncQuestionLists(self._protocol, self._run)
        self.alike_questions = AsyncAlikeQuestions(self._protocol, self._run)
        self.analytics = AsyncAnalytics(self._protocol, self._run)
        self.tenants = AsyncTenants(self._protocol, self._run)
        self.tier_policies = AsyncTierPolicies(self._protocol, self._run)
        self.findings = AsyncFindings(self._protocol, self._run)
        self.finding_policies = AsyncFindingPolicies(self._protocol, self._run)
        self.legal_holds = AsyncLegalHolds(self._protocol, self._run)
        self.tasks = AsyncTaskList(self._protocol, self._run)
        self.retention = AsyncRetention(self._protocol, self._run)
        self.dispositions = AsyncDispositions(self._protocol, self._run)
        self.erasures = AsyncErasures(self._protocol, self._run)
        self.subject_requests = AsyncSubjectRequests(self._protocol, self._run)
        self.synonyms = AsyncSynonyms(self._protocol, self._run)
        self.models = AsyncModels(self._protocol, self._run)
        self.index_versions = AsyncIndexVersions(self._protocol, self._run)

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

    def query_stream(
        self, question: str, *, top_k: int = 8, generate: Generate = "auto", cache: bool = True
    ) -> AsyncIterator[Part]:
        """The answer of `query`, word by word; the whole Answer comes last."""
        return self._run.iterate(
            streamed_answer(self._protocol, question, top_k, generate, cache=cache)
        )


class AsyncFiles(FileOperations, AsyncResource):
    """`/v1/files`."""

    async def content(self, file_id: Id, target: Path, *, version: int | None = None) -> Path:
        """Downloads the original to `target`, resuming where a connection broke."""
        return await self._run.run(download(self._protocol, file_id, target, version))

    async def archive(self, files: Sequence[Id | tuple[Id, int]], target: Path) -> Path:
        """Downloads the files, or versions of them by number, as one ZIP archive."""
        return await self._run.run(download_archive(self._protocol, files, target))


class AsyncJobs(JobOperations, AsyncResource):
    """`/v1/jobs`. What a job's state forbids raises Conflict."""

    def events(self, job_id: Id, last_event_id: str | None = None) -> AsyncIterator[Event]:
        """The job's events until its end, each once; `last_event_id` goes on after that one."""
        return self._run.iterate(job_events(self._protocol, job_id, last_event_id))


class AsyncConversations(ConversationOperations, AsyncResource):
    """`/v1/conversations`."""

    def events(
        self, conversation_id: Id, message_id: Id, last_event_id: str | None = None
    ) -> AsyncIterator[Event]:
        """An answer's events until its end; `last_event_id` goes on after that one."""
        return self._run.iterate(
            answer_events(self._protocol, conversation_id, message_id, last_event_id)
        )

    def ask_stream(
        self, conversation_id: Id, question: str, *, top_k: int = 8, generate: Generate = "auto"
    ) -> AsyncIterator[Part]:
        """The answer of `ask`, word by word; the whole Answer comes last."""
        return self._run.iterate(
            streamed_in_conversation(self._protocol, conversation_id, question, top_k, generate)
        )

    def socket(self, conversation_id: Id) -> AsyncConversationSocket:
        """Over which questions are asked in a row; it resumes by itself."""
        return AsyncConversationSocket(self._protocol, self._run, conversation_id)
