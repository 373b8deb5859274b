"""The HTTP application: routes, error mapping, middleware."""

from fastapi import FastAPI
from fastapi.routing import APIRouter
from fastapi.telemetry import TelemetryConfig

from api import problems
from api.activity.endpoints import router as activity
from api.admission import Admission, Places
from api.alike_questions.endpoints import router as alike_questions
from api.analytics.endpoints import router as analytics
from api.annotations.comments import router as annotation_comments
from api.annotations.endpoints import router as annotations
from api.api_keys.endpoints import router as api_keys
from api.audit.endpoints import router as audit
from api.batches.endpoints import router as batches
from api.body_limit import BodyLimit
from api.collections.endpoints import router as collections
from api.conversations.endpoints import router as conversations
from api.conversations.socket_endpoints import router as conversation_sockets
from api.cross_origin import CrossOrigin
from api.description import DescribedApplication
from api.directory.endpoints import router as directory
from api.dispositions.endpoints import router as dispositions
from api.erasures.endpoints import router as erasures
from api.evaluations.endpoints import router as evaluations
from api.events.endpoints import router as events
from api.feedback.endpoints import router as feedback
from api.files.endpoints import router as files
from api.finding_policies.endpoints import router as finding_policies
from api.findings.endpoints import router as findings
from api.grants.endpoints import router as grants
from api.groups.endpoints import router as groups
from api.health.endpoints import router as health
from api.index_versions.endpoints import router as index_versions
from api.integrity.endpoints import router as integrity
from api.invitations.endpoints import router as invitations
from api.jobs.endpoints import router as jobs
from api.key_rotations.endpoints import router as key_rotations
from api.legal_holds.endpoints import router as legal_holds
from api.models.endpoints import router as models
from api.oidc.endpoints import router as identities
from api.openai_compatible.chat_completions.endpoints import router as openai_chat_completions
from api.openai_compatible.errors import OpenAiErrors
from api.openai_compatible.files.endpoints import router as openai_files
from api.openai_compatible.models.endpoints import router as openai_models
from api.openai_compatible.vector_stores.endpoints import router as openai_vector_stores
from api.openai_compatible.vector_stores.file_endpoints import router as openai_store_files
from api.origin import Origin
from api.pages.endpoints import router as pages
from api.principals.endpoints import router as principals
from api.question_lists.endpoints import router as question_lists
from api.quotas.endpoints import router as quotas
from api.rate_limits import RateLimitHeaders
from api.reading_comparisons.endpoints import router as reading_comparisons
from api.redactions.endpoints import router as redactions
from api.request_context import RequestContext
from api.restoring import Restoring
from api.retention.endpoints import router as retention
from api.search.endpoints import router as search
from api.services import Services
from api.sessions.describing import describe_proofs
from api.sessions.endpoints import router as sessions
from api.shared_files.endpoints import router as shared_files
from api.shares.endpoints import router as shares
from api.sign_ins.endpoints import router as sign_ins
from api.subject_requests.endpoints import router as subject_requests
from api.synonyms.endpoints import router as synonyms
from api.tasks.endpoints import router as tasks
from api.temporal_codec.cross_origin import CodecCrossOrigin
from api.temporal_codec.endpoints import router as temporal_codec
from api.tenants.endpoints import router as tenants
from api.tier_policies.endpoints import router as tier_policies
from api.tiers.endpoints import router as tiers
from api.transport_security import StrictTransport
from api.uploads.endpoints import router as uploads
from api.uploads.tus_headers import TusHeaders
from api.version_comparisons.endpoints import router as version_comparisons
from api.webhooks.deliveries import router as webhook_deliveries
from api.webhooks.endpoints import router as webhooks

TITLE = "Muniment"
VERSION = "0.1.0"
DESCRIPTION = (
    "Takes files in, reads every page, keeps them under law, and answers from them with proof.\n\n"
    "Errors are RFC 9457 `application/problem+json`; every response carries `X-Request-Id`. Times"
    " are RFC 3339 in UTC. Lists take `limit` and `cursor`. A POST that creates something honours"
    " `Idempotency-Key` for 24 hours (410 if the first answer told of a file erased since), a PATCH"
    " honours `If-Match`, and so does every PUT and DELETE of"
    " principals, groups and grants."
    " `Authorization: Bearer` takes an API key, or the access token of whoever signed in."
    " With the cookie of a session instead, what changes something needs `X-CSRF-Token`.\n\n"
    "`RateLimit-Policy` and `RateLimit` tell a known caller how many requests it and its tenant may make"
    " in a minute, and how many are left; beyond them comes 429 with `Retry-After`. What would exceed"
    " the tenant's quota (`/v1/quotas`) is 403 with the type `urn:muniment:problem:quota-exceeded`."
)

NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}

ROUTERS: tuple[APIRouter, ...] = (
    files,
    tiers,
    uploads,
    pages,
    redactions,
    version_comparisons,
    collections,
    tier_policies,
    jobs,
    batches,
    reading_comparisons,
    events,
    search,
    conversations,
    feedback,
    question_lists,
    synonyms,
    models,
    evaluations,
    analytics,
    alike_questions,
    annotations,
    annotation_comments,
    activity,
    shares,
    shared_files,
    sign_ins,
    sessions,
    principals,
    invitations,
    identities,
    groups,
    grants,
    directory,
    api_keys,
    tenants,
    findings,
    finding_policies,
    legal_holds,
    tasks,
    retention,
    dispositions,
    erasures,
    subject_requests,
    audit,
    integrity,
    quotas,
    key_rotations,
    index_versions,
    webhooks,
    webhook_deliveries,
    temporal_codec,
    openai_files,
    openai_vector_stores,
    openai_store_files,
    openai_chat_completions,
    openai_models,
    health,
)

SOCKET_ROUTERS: tuple[APIRouter, ...] = (conversation_sockets,)
"""Of WebSockets, which the OpenAPI description does not know: docs/conversations.md."""


def create_application(services: Services | None = None) -> FastAPI:
    """The application over these services; without any it only describes itself."""
    application = DescribedApplication(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        separate_input_output_schemas=False,
        # Its own redirection would name http and no prefix: it knows nothing of proxies before it.
        redirect_slashes=False,
        # Its own spans hold paths and query strings: names of files, and tokens of links. Ours hold
        # route templates: api.request_context.
        telemetry=NO_TELEMETRY,
    )
    application.state.services = services
    describe_proofs(ROUTERS)
    for router in (*ROUTERS, *SOCKET_ROUTERS):
        application.include_router(router)
    problems.install(application, ROUTERS)
    # The last one added is the outermost.
    application.add_middleware(Admission, places=Places() if services is None else services.places)
    application.add_middleware(BodyLimit)
    if services is not None:
        application.add_middleware(Restoring, gate=services.gate)
    max_bytes = None if services is None else services.uploads.max_bytes
    application.add_middleware(TusHeaders, max_bytes=max_bytes)
    if services is not None and services.links.ui_url is not None:
        ui_origin = services.links.ui_url.rstrip("/")
        application.add_middleware(CodecCrossOrigin, ui_origin=ui_origin)
    application.add_middleware(RateLimitHeaders)
    if services is not None and services.allowed_origins:
        application.add_middleware(CrossOrigin, origins=services.allowed_origins)
    if services is not None and services.strict_transport_seconds:
        application.add_middleware(StrictTransport, seconds=services.strict_transport_seconds)
    if services is not None:
        application.add_middleware(Origin, proxies=services.sharing.proxies)
    application.add_middleware(RequestContext)
    # Outside of what answers to an unexpected error.
    application.add_middleware(OpenAiErrors)
    return application
