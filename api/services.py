"""What the endpoints work with: built by the composition root, given to the application."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

from api.admission import Places
from api.analytics.recording import QueryRecorder
from api.conversations.limits import ConversationLimits
from api.conversations.under_way import AnswersUnderWay
from api.events.hub import EventHub
from api.files.retrieval import RetrievalQuestions
from api.files.scan_policy import ScanPolicy
from api.files.turns import Turns
from api.health.checks import Readiness
from api.jobs.view import WorkflowLinks
from api.oidc.people import Issuer
from api.orchestrator import Orchestrator
from api.pages.views import Views
from api.rate_limits import RateLimits
from api.restoring import LedgerGate
from api.shares.policy import SharingPolicy
from api.sign_ins.limits import AttemptLimits, TokenLifetimes
from api.sign_ins.passwords import Passwords
from api.slots import Slots
from api.sockets.open_sockets import OpenSockets
from db.queries.quotas import Quota
from db.queries.resumable_uploads import OpenUploads
from db.queries.tier_policies import ColdPolicy
from db.session import Database
from muniment.egress import EgressPolicy
from muniment.objects import BlobStore, SealedTexts
from muniment.sealing import KeyManagement
from muniment.settings import HoldSettings, ImportSource, TaskSettings
from retrieval.answer import Answerer
from retrieval.answer_permit import Permits
from retrieval.cache.responses import ResponseCache
from retrieval.follow_up_writing import FollowUpWriter
from retrieval.search import Searcher

MOST_ANALYTICS = 2
"""Requests of one process that sum up what was asked: each holds a connection for seconds."""


@dataclass(frozen=True)
class UploadLimits:
    """`open` and `expiry` are those of resumable uploads: how much a tenant may have unfinished, and
    how long one waits for its next bytes. `default_quota` is that of tenants without one of their own."""

    max_bytes: int
    slots: Slots
    open: OpenUploads
    expiry: timedelta
    default_quota: Quota
    turns: Turns = field(default_factory=Turns)


@dataclass(frozen=True)
class ArchiveLimits:
    max_files: int
    slots: Slots


@dataclass(frozen=True)
class SigningIn:
    """How people come in."""

    passwords: Passwords
    limits: AttemptLimits
    lifetimes: TokenLifetimes
    issuer: Issuer | None = None


@dataclass(frozen=True)
class WebhookLimits:
    """`egress`: to which addresses a webhook may be made. `secret_overlap`: how long an exchanged
    secret goes on signing."""

    egress: EgressPolicy
    secret_overlap: timedelta
    max_endpoints: int
    max_pending: int


@dataclass(frozen=True)
class Services:
    """One of each per process."""

    database: Database
    blobs: BlobStore
    texts: SealedTexts
    keys: KeyManagement
    temporal: Orchestrator
    links: WorkflowLinks
    search: Searcher
    answers: Answerer
    cache: ResponseCache
    permits: Permits
    queries: QueryRecorder
    events: EventHub
    uploads: UploadLimits
    archives: ArchiveLimits
    webhooks: WebhookLimits
    views: Views
    version_comparisons: Slots
    sharing: SharingPolicy
    readiness: Readiness
    import_sources: Mapping[str, ImportSource]
    people: SigningIn
    rate_limits: RateLimits
    gate: LedgerGate
    max_open_jobs: int
    max_open_batches: int
    scans: ScanPolicy
    retrieval_questions: RetrievalQuestions = field(default_factory=RetrievalQuestions)
    former_index_kept: timedelta = timedelta(days=7)
    holds: HoldSettings = field(default_factory=HoldSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    may_mask: bool = False
    conversations: ConversationLimits = field(default_factory=ConversationLimits)
    under_way: AnswersUnderWay = field(default_factory=AnswersUnderWay)
    follow_ups: FollowUpWriter | None = None
    sockets: OpenSockets = field(default_factory=OpenSockets)
    analytics: Slots = field(
        default_factory=lambda: Slots(MOST_ANALYTICS, "analyses of what was asked")
    )
    tier_questions: RetrievalQuestions = field(default_factory=RetrievalQuestions)
    places: Places = field(default_factory=Places)
    has_cold_store: bool = False
    cold_policy: ColdPolicy | None = None
    metrics_on_api: bool = True
    strict_transport_seconds: int = 0
    allowed_origins: Sequence[str] = ()


async def _services(request: Request) -> Services:
    """Not for what it awaits: FastAPI runs what is no coroutine in a thread, and waits for it."""
    services = request.app.state.services
    assert isinstance(services, Services)  # noqa: S101 - set by create_application
    return services


Provided = Annotated[Services, Depends(_services)]
"""An endpoint's parameter of this type gets the process's services."""
