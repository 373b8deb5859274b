"""What the API is made of, by what the settings say."""

import os
import warnings
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from joserfc.errors import SecurityWarning
from opentelemetry.sdk.trace import TracerProvider
from temporalio.client import Client

from api.admission import Places
from api.analytics.recording import QueryRecorder
from api.client_address import Proxies
from api.conversations.limits import ConversationLimits
from api.events.hub import EventHub
from api.files.scan_policy import ScanPolicy
from api.health.checks import Readiness
from api.health.dependencies import Dependencies
from api.health.scanner import SCAN_TIMEOUT_SECONDS, ScannerCheck
from api.health.transport import CertificateCheck, TransportCheck
from api.jobs.view import WorkflowLinks
from api.oidc.fetching import fetch_keys
from api.oidc.keys import IssuerKeys
from api.oidc.people import Issuer, IssuerPolicy
from api.oidc.verifying import TokenVerifier
from api.orchestrator import Orchestrator
from api.pages.views import MAXIMUM_VIEW_WAITS, Views
from api.rate_limits import RateLimits
from api.restoring import LedgerGate
from api.services import ArchiveLimits, Services, SigningIn, UploadLimits, WebhookLimits
from api.shared_files.places import DownloadPlaces
from api.shares.passwords import SharePasswords
from api.shares.policy import SharingPolicy
from api.sign_ins.limits import AttemptLimits, TokenLifetimes
from api.sign_ins.passwords import Passwords
from api.slots import Slots
from api.sockets.open_sockets import OpenSockets
from db.queries.analytics import QueryPolicy
from db.queries.quotas import Quota
from db.queries.resumable_uploads import OpenUploads
from db.queries.shares import TryLimits
from db.queries.tier_policies import ColdPolicy
from db.replayed_erasures import ErasureReplay
from db.session import Database
from db.transport import client_certificate, database_exposures
from muniment.connections import open_scanner, shown_certificates, shown_to
from muniment.egress import EgressPolicy, tls_context
from muniment.embedding import Embedder, default_model_directory
from muniment.embedding.cross_encoder import CrossEncoder
from muniment.errors import ConfigurationError
from muniment.exposure import exposures, refuse_exposed
from muniment.objects import SealedTexts
from muniment.settings import (
    AnalyticsSettings,
    ColdStoreSettings,
    ConversationSettings,
    OidcSettings,
    RateLimitSettings,
    RerankSettings,
    ScanSettings,
    Settings,
    WebhookSettings,
)
from muniment.stores import Stores, open_data_converter, open_stores
from muniment.telemetry.metrics import watch_certificate
from muniment.telemetry.request_context import RequestContextInterceptor
from muniment.telemetry.tracing import temporal_tracing
from muniment.temporal_service import RenewingService
from muniment.transport.server import ServerCertificate
from muniment.transport.shown import ShownCertificate
from retrieval.answer import Answerer
from retrieval.bm25 import Bm25
from retrieval.cache.from_settings import build_cache
from retrieval.follow_up_writing import FollowUpWriter
from retrieval.language_models.from_settings import build_permits
from retrieval.reranking import Reranker
from retrieval.search import Searcher


@dataclass(frozen=True)
class _Ground:
    """What the process reaches, and what it shows there."""

    database: Database
    stores: Stores
    temporal: Orchestrator
    links: WorkflowLinks
    events: EventHub
    embedder: Embedder
    gate: LedgerGate


async def build_services(
    settings: Settings, tracing: TracerProvider, certificate: ServerCertificate | None
) -> Services:
    """Connects lazily: a dependency that is down makes requests fail and `/readyz` say so, and does
    not keep the process from starting."""
    dsn = settings.database.url.get_secret_value()
    exposed = exposures(settings, database_exposures(dsn), os.environ)
    refuse_exposed(settings, exposed)
    shown = shown_certificates(settings, client_certificate(dsn))
    if certificate is not None:
        watch_certificate("api", lambda: certificate.expires_at)
    client = await _temporal_client(settings, tracing, shown_to(shown, "temporal"))
    ground = _ground(settings, client)
    checks = (TransportCheck(exposed), CertificateCheck(certificate, shown))
    return _services(settings, ground, _readiness(settings, ground, *checks), certificate)


def _ground(settings: Settings, client: Client) -> _Ground:
    database = _database(settings)
    temporal = Orchestrator(
        client,
        query_timeout_seconds=settings.api.query_timeout_seconds,
        view_timeout_seconds=settings.api.view_timeout_seconds,
    )
    links = WorkflowLinks(settings.temporal.ui_url, settings.temporal.namespace)
    streams = Slots(settings.api.max_event_streams, "event streams")
    dsn = settings.database.url.get_secret_value()
    events = EventHub(database, dsn, temporal, links, streams)
    stores = open_stores(settings)
    gate = LedgerGate(ErasureReplay(database, stores.erasure_ledger))
    return _Ground(database, stores, temporal, links, events, _embedder(settings), gate)


def _readiness(
    settings: Settings, ground: _Ground, transport: TransportCheck, certificates: CertificateCheck
) -> Readiness:
    dependencies = Dependencies(
        ground.database,
        ground.stores.blobs,
        ground.stores.tiers,
        ground.stores.keys,
        ground.temporal,
        ground.events.listener,
        ground.gate,
        ground.embedder,
        _scanner_check(settings.scan),
        transport,
        certificates,
    )
    return Readiness(dependencies.checks())


def _services(
    settings: Settings,
    ground: _Ground,
    readiness: Readiness,
    certificate: ServerCertificate | None,
) -> Services:
    database, stores, temporal = ground.database, ground.stores, ground.temporal
    texts = SealedTexts(stores.blobs)
    bm25 = Bm25(settings.lexical.k1, settings.lexical.b)
    searcher = Searcher(database, ground.embedder, texts, bm25, _reranker(settings.rerank))
    permits = build_permits(settings.models, database)
    return Services(
        database=database,
        blobs=stores.blobs,
        texts=texts,
        keys=stores.keys,
        temporal=temporal,
        links=ground.links,
        search=searcher,
        answers=Answerer(database, searcher, permits),
        cache=build_cache(settings, database, stores.keys, ground.embedder),
        permits=permits,
        queries=_recorder(settings.analytics, database, stores),
        events=ground.events,
        uploads=_upload_limits(settings),
        archives=_archive_limits(settings),
        webhooks=_webhook_limits(settings.webhooks),
        views=Views(database, temporal, Slots(MAXIMUM_VIEW_WAITS, "views in the making")),
        version_comparisons=Slots(
            settings.api.max_concurrent_comparisons, "comparisons of versions"
        ),
        sharing=_sharing(settings),
        readiness=readiness,
        gate=ground.gate,
        import_sources={source.name: source for source in settings.imports.sources},
        people=_signing_in(settings),
        holds=settings.holds,
        tasks=settings.tasks,
        may_mask=settings.findings.masking,
        former_index_kept=timedelta(hours=settings.embedding.keep_former_hours),
        places=Places(settings.admission.at_once, settings.admission.waiting_most),
        has_cold_store=stores.tiers is not None,
        cold_policy=_cold_policy(settings.cold_store),
        conversations=_conversations(settings.conversations),
        follow_ups=FollowUpWriter(database, permits, settings.conversations.rewrite_seconds),
        sockets=OpenSockets(settings.conversations.sockets_of_principal),
        rate_limits=_rate_limits(settings.rate_limits),
        max_open_jobs=settings.api.max_open_jobs,
        max_open_batches=settings.api.max_open_batches,
        scans=_scans(settings.scan),
        metrics_on_api=settings.api.metrics_port is None,
        allowed_origins=settings.api.origins,
        strict_transport_seconds=settings.api.strict_transport_seconds if certificate else 0,
    )


def _recorder(settings: AnalyticsSettings, database: Database, stores: Stores) -> QueryRecorder:
    policy = QueryPolicy.of(settings.keeps, settings.keep_days)
    return QueryRecorder(database, stores.keys, policy)


def _archive_limits(settings: Settings) -> ArchiveLimits:
    slots = Slots(settings.api.max_concurrent_archives, "archives")
    return ArchiveLimits(settings.api.max_archive_files, slots)


def _upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(
        settings.api.max_upload_bytes,
        Slots(settings.api.max_concurrent_uploads, "uploads"),
        OpenUploads(settings.api.max_open_uploads, settings.api.max_open_upload_bytes),
        timedelta(hours=settings.api.upload_expiry_hours),
        Quota(**settings.quotas.model_dump()),
    )


def _conversations(settings: ConversationSettings) -> ConversationLimits:
    return ConversationLimits(
        settings.max_conversations,
        settings.max_messages,
        settings.max_bytes,
        settings.resume_seconds,
        settings.socket_idle_seconds,
    )


def _cold_policy(settings: ColdStoreSettings) -> ColdPolicy | None:
    return ColdPolicy.after(settings.after_days, settings.min_bytes, settings.collections)


def _rate_limits(settings: RateLimitSettings) -> RateLimits:
    """This process's part."""
    return RateLimits(
        max(1, settings.principal_requests_per_minute // settings.api_processes),
        max(1, settings.tenant_requests_per_minute // settings.api_processes),
    )


def _scans(settings: ScanSettings) -> ScanPolicy:
    is_scanned = settings.socket is not None or settings.required
    return ScanPolicy(settings.await_verdict and is_scanned, settings.required)


def _scanner_check(settings: ScanSettings) -> ScannerCheck:
    address = settings.socket
    scanner = open_scanner(address, settings, SCAN_TIMEOUT_SECONDS) if address else None
    return ScannerCheck(scanner, timedelta(hours=settings.max_database_age_hours))


def _sharing(settings: Settings) -> SharingPolicy:
    sharing = settings.sharing
    return SharingPolicy(
        enabled=sharing.enabled,
        public_url=sharing.public_url,
        proxies=Proxies(settings.api.proxy_networks),
        default_life=timedelta(days=sharing.default_days),
        longest_life=timedelta(days=sharing.max_days),
        session_life=timedelta(hours=sharing.session_hours),
        requires_clean=sharing.require_clean,
        scans=_scans(settings.scan),
        tries=TryLimits(sharing.password_tries, sharing.password_tries_of_all),
        passwords=SharePasswords(),
        max_sessions=sharing.max_sessions,
        downloads=DownloadPlaces(
            sharing.max_concurrent_downloads, sharing.max_concurrent_downloads_per_address
        ),
    )


def _signing_in(settings: Settings) -> SigningIn:
    people = settings.sign_in
    return SigningIn(
        Passwords(people.hashes_at_once),
        AttemptLimits(
            people.attempts_per_name,
            people.attempts_per_address,
            timedelta(minutes=people.attempt_minutes),
            Proxies(settings.api.proxy_networks),
        ),
        TokenLifetimes(
            access=timedelta(minutes=people.access_token_minutes),
            refresh=timedelta(days=people.refresh_token_days),
            sign_in=timedelta(days=people.longest_days),
        ),
        _issuer(settings.oidc),
    )


def _issuer(oidc: OidcSettings) -> Issuer | None:
    if oidc.issuer is None or oidc.audience is None:
        return None
    # Issuers say EdDSA; that RFC 9864 has a newer word for it is no news to whoever reads the log.
    warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)
    try:
        tls = tls_context(oidc.ca_file)
    except OSError as error:
        raise ConfigurationError("MUNIMENT_OIDC__CA_FILE cannot be read") from error
    keys = IssuerKeys(partial(fetch_keys, oidc.issuer, tls))
    policy = IssuerPolicy(
        tenant=oidc.tenant,
        tenant_claim=oidc.tenant_claim,
        creates=oidc.create_principals,
        name_claim=oidc.name_claim,
        groups_claim=oidc.groups_claim,
        scopes=oidc.scopes,
    )
    return Issuer(TokenVerifier(oidc.issuer, oidc.audience, keys), policy)


def _database(settings: Settings) -> Database:
    return Database(
        settings.database.url.get_secret_value(),
        pool_size=settings.database.pool_size,
        statement_timeout_seconds=settings.database.statement_timeout_seconds,
    )


def _webhook_limits(settings: WebhookSettings) -> WebhookLimits:
    policy = EgressPolicy(frozenset(settings.ports), settings.allowed_networks, settings.allow_http)
    return WebhookLimits(
        policy,
        timedelta(hours=settings.secret_overlap_hours),
        settings.max_endpoints,
        settings.max_pending,
    )


def _embedder(settings: Settings) -> Embedder:
    directory = settings.embedding.model_directory or default_model_directory()
    return Embedder(directory, settings.embedding.threads)


def _reranker(settings: RerankSettings) -> Reranker | None:
    """Loaded at once: a process whose reranker is configured and cannot be read does not start."""
    if settings.model_directory is None:
        return None
    model = CrossEncoder(settings.model_directory, settings.threads)
    model.load()
    return Reranker(model, settings.passages, settings.timeout_seconds)


async def _temporal_client(
    settings: Settings, tracing: TracerProvider, shown: ShownCertificate | None
) -> Client:
    """Connects at its first call. Payloads are encrypted; request id and trace go along."""
    return Client(
        await RenewingService.open(settings.temporal, shown, lazy=True),
        namespace=settings.temporal.namespace,
        data_converter=open_data_converter(settings),
        interceptors=[temporal_tracing(tracing), RequestContextInterceptor()],
    )
