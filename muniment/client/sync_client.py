"""The synchronous client."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx
from pydantic import JsonValue

from muniment.client.answering import Part, streamed_answer, streamed_in_conversation
from muniment.client.blocking import Blocking
from muniment.client.building import Id
from muniment.client.conversation_socket import ConversationSocket
from muniment.client.download import download, download_archive
from muniment.client.events import Event, answer_events, job_events, tenant_events
from muniment.client.following import follow
from muniment.client.location import locate
from muniment.client.models import (
    File,
    Job,
)
from muniment.client.operations import Resource
from muniment.client.protocol import (
    DEFAULT_TIMEOUT_SECONDS,
    Protocol,
    trusts_environment,
    verification,
)
from muniment.client.resources.alike_questions import AlikeQuestions
from muniment.client.resources.analytics import Analytics
from muniment.client.resources.annotations import Annotations
from muniment.client.resources.answers import AnswerOperations, Generate
from muniment.client.resources.api_keys import ApiKeys
from muniment.client.resources.audit import AuditTrail
from muniment.client.resources.batches import Batches
from muniment.client.resources.collections import Collections
from muniment.client.resources.conversations import ConversationOperations, Feedbacks
from muniment.client.resources.dispositions import Dispositions
from muniment.client.resources.erasures import Erasures
from muniment.client.resources.evaluations import Evaluations
from muniment.client.resources.files import FileOperations
from muniment.client.resources.findings import FindingPolicies, Findings
from muniment.client.resources.grants import Grants
from muniment.client.resources.groups import Groups
from muniment.client.resources.index_versions import IndexVersions
from muniment.client.resources.integrity import Integrity
from muniment.client.resources.invitations import Invitations
from muniment.client.resources.jobs import JobOperations
from muniment.client.resources.key_rotations import Keys
from muniment.client.resources.legal_holds import LegalHolds
from muniment.client.resources.models import Models
from muniment.client.resources.principals import Principals
from muniment.client.resources.question_lists import QuestionLists
from muniment.client.resources.reading_comparisons import Comparisons
from muniment.client.resources.retention import Retention
from muniment.client.resources.shares import Shares
from muniment.client.resources.subject_requests import SubjectRequests
from muniment.client.resources.synonyms import Synonyms
from muniment.client.resources.tasks import TaskList
from muniment.client.resources.tenant import TenantOwnOperations
from muniment.client.resources.tenants import Tenants
from muniment.client.resources.tier_policies import TierPolicies
from muniment.client.resources.webhooks import Webhooks
from muniment.client.retry import Retry
from muniment.client.sending import send
from muniment.client.upload import OnConflict, ProgressCallback, Upload
from muniment.client.web_sockets import SocketOptions


class Muniment(TenantOwnOperations, AnswerOperations, Resource):
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
        verify = verification(location.ca_file)
        trusted = trusts_environment(location.url)
        client = httpx.Client(transport=transport, verify=verify, trust_env=trusted)
        super().__init__(protocol, Blocking(client, SocketOptions(verify, trusted)))
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
        self.audit_trail = AuditTrail(self._protocol, self._run)
        self.conversations = Conversations(self._protocol, self._run)
        self.feedback = Feedbacks(self._protocol, self._run)
        self.evaluations = Evaluations(self._protocol, self._run)
        self.question_lists = QuestionLists(self._protocol, self._run)
        self.alike_questions = AlikeQuestions(self._protocol, self._run)
        self.analytics = Analytics(self._protocol, self._run)
        self.tenants = Tenants(self._protocol, self._run)
        self.tier_policies = TierPolicies(self._protocol, self._run)
        self.findings = Findings(self._protocol, self._run)
        self.finding_policies = FindingPolicies(self._protocol, self._run)
        self.legal_holds = LegalHolds(self._protocol, self._run)
        self.tasks = TaskList(self._protocol, self._run)
        self.retention = Retention(self._protocol, self._run)
        self.dispositions = Dispositions(self._protocol, self._run)
        self.erasures = Erasures(self._protocol, self._run)
        self.subject_requests = SubjectRequests(self._protocol, self._run)
        self.synonyms = Synonyms(self._protocol, self._run)
        self.models = Models(self._protocol, self._run)
        self.index_versions = IndexVersions(self._protocol, self._run)

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

    def query_stream(
        self, question: str, *, top_k: int = 8, generate: Generate = "auto", cache: bool = True
    ) -> Iterator[Part]:
        """The answer of `query`, word by word; the whole Answer comes last."""
        return self._run.iterate(
            streamed_answer(self._protocol, question, top_k, generate, cache=cache)
        )


class Files(FileOperations, Resource):
    """`/v1/files`."""

    def content(self, file_id: Id, target: Path, *, version: int | None = None) -> Path:
        """Downloads the original to `target`, resuming where a connection broke."""
        return self._run.run(download(self._protocol, file_id, target, version))

    def archive(self, files: Sequence[Id | tuple[Id, int]], target: Path) -> Path:
        """Downloads the files, or versions of them by number, as one ZIP archive."""
        return self._run.run(download_archive(self._protocol, files, target))


class Jobs(JobOperations, Resource):
    """`/v1/jobs`. What a job's state forbids raises Conflict."""

    def events(self, job_id: Id, last_event_id: str | None = None) -> Iterator[Event]:
        """The job's events until its end, each once; `last_event_id` goes on after that one."""
        return self._run.iterate(job_events(self._protocol, job_id, last_event_id))


class Conversations(ConversationOperations, Resource):
    """`/v1/conversations`."""

    def events(
        self, conversation_id: Id, message_id: Id, last_event_id: str | None = None
    ) -> Iterator[Event]:
        """An answer's events until its end; `last_event_id` goes on after that one."""
        return self._run.iterate(
            answer_events(self._protocol, conversation_id, message_id, last_event_id)
        )

    def ask_stream(
        self, conversation_id: Id, question: str, *, top_k: int = 8, generate: Generate = "auto"
    ) -> Iterator[Part]:
        """The answer of `ask`, word by word; the whole Answer comes last."""
        return self._run.iterate(
            streamed_in_conversation(self._protocol, conversation_id, question, top_k, generate)
        )

    def socket(self, conversation_id: Id) -> ConversationSocket:
        """Over which questions are asked in a row; it resumes by itself."""
        return ConversationSocket(self._protocol, self._run, conversation_id)
