"""Prometheus metrics. Labels are names of routes, stages and states: never ids, never people's."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

METRICS_MEDIA_TYPE = CONTENT_TYPE_LATEST

REGISTRY = CollectorRegistry()
"""This process's metrics, and nothing that a library registered by itself."""

_STAGE_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

stage_seconds = Histogram(
    "muniment_stage_seconds",
    "How long a stage took, by stage and outcome (completed, failed, cancelled, reused).",
    ("stage", "outcome"),
    buckets=_STAGE_BUCKETS,
    registry=REGISTRY,
)
http_requests_total = Counter(
    "muniment_http_requests_total",
    "Requests answered, by route template, method and status.",
    ("route", "method", "status"),
    registry=REGISTRY,
)
http_request_seconds = Histogram(
    "muniment_http_request_seconds",
    "How long requests took, by route template and method.",
    ("route", "method"),
    registry=REGISTRY,
)
admission_seconds = Histogram(
    "muniment_admission_seconds",
    "How long requests waited until a process worked on them, by rank (read, content, change).",
    ("rank",),
    registry=REGISTRY,
)
jobs_total = Counter(
    "muniment_jobs_total",
    "Jobs that ended, by kind and state (completed, failed, cancelled).",
    ("kind", "state"),
    registry=REGISTRY,
)
integrity_blobs_total = Counter(
    "muniment_integrity_blobs_total",
    "Blobs read again from the store, by outcome (sound, or the kind of fault).",
    ("outcome",),
    registry=REGISTRY,
)
integrity_bytes_total = Counter(
    "muniment_integrity_bytes_total",
    "Bytes of content in the blobs that were read again from the store.",
    registry=REGISTRY,
)
tier_moves_total = Counter(
    "muniment_tier_moves_total",
    "Blobs moved to a tier of the object store, by tier and outcome (moved, failed, waiting).",
    ("tier", "outcome"),
    registry=REGISTRY,
)
webhook_attempts_total = Counter(
    "muniment_webhook_attempts_total",
    "Attempts to deliver an event to an endpoint, by outcome.",
    ("outcome",),
    registry=REGISTRY,
)
webhook_deliveries_total = Counter(
    "muniment_webhook_deliveries_total",
    "Deliveries that ended, by state (delivered, failed) and the outcome of the last attempt.",
    ("state", "outcome"),
    registry=REGISTRY,
)
audit_sealed_events_total = Counter(
    "muniment_audit_sealed_events_total",
    "Audit events that got their place in their tenant's tree.",
    registry=REGISTRY,
)
audit_refused_total = Counter(
    "muniment_audit_refused_total",
    "Times that a tenant's audit trail was not sealed or copied because it is not what was signed.",
    registry=REGISTRY,
)
model_requests_total = Counter(
    "muniment_model_requests_total",
    "Requests to language models, by the operator's name of the model and outcome (answered, abandoned,"
    " or what failed).",
    ("model", "outcome"),
    registry=REGISTRY,
)
model_first_token_seconds = Histogram(
    "muniment_model_first_token_seconds",
    "How long a language model took to its first word, by the operator's name of the model.",
    ("model",),
    buckets=_STAGE_BUCKETS,
    registry=REGISTRY,
)
model_tokens_total = Counter(
    "muniment_model_tokens_total",
    "Tokens that language models read and wrote, by kind (prompt, completion).",
    ("kind",),
    registry=REGISTRY,
)
cached_responses_total = Counter(
    "muniment_cached_responses_total",
    "Searches and questions that could be answered as before, by kind (search, answer) and outcome (hit,"
    " miss; stale: something has changed since; failed: it could not be found out; after a miss, alike or"
    " unlike: whether another question's answer was told).",
    ("kind", "outcome"),
    registry=REGISTRY,
)
queries_not_recorded_total = Counter(
    "muniment_queries_not_recorded_total",
    "Queries that are missing in the analytics, since the database did not take them in time.",
    registry=REGISTRY,
)
certificate_expiry = Gauge(
    "muniment_certificate_expiry_timestamp_seconds",
    "When the certificate ends that this process shows, by connection; 0 where none can be read.",
    ("connection",),
    registry=REGISTRY,
)


@dataclass(frozen=True)
class WebhookBacklog:
    """What webhooks have yet to deliver and what they gave up, of all tenants; the age is in seconds, 0
    without any."""

    pending: int
    oldest_seconds: float
    dead_letters: int


class LookedUpBacklog(Collector):
    """Gauges of a process that looks, for as long as it sees something. Others have none at all: a figure
    of 0 from whoever never looks would say that all is well."""

    def __init__(self) -> None:
        self.seen: WebhookBacklog | None = None

    def collect(self) -> Iterable[Metric]:
        if self.seen is None:
            return
        yield GaugeMetricFamily(
            "muniment_webhook_pending",
            "Deliveries that are on their way, of all tenants.",
            self.seen.pending,
        )
        yield GaugeMetricFamily(
            "muniment_webhook_oldest_seconds",
            "Age of the oldest event or delivery that is neither delivered nor given up; 0 without any.",
            self.seen.oldest_seconds,
        )
        yield GaugeMetricFamily(
            "muniment_webhook_dead_letters",
            "Deliveries that were given up and not replayed, of all tenants' endpoints.",
            self.seen.dead_letters,
        )


@dataclass(frozen=True)
class AuditBacklog:
    """What of the audit trails is yet to be sealed, of all tenants; the age is in seconds, 0 without any."""

    events: int
    oldest_seconds: float


class LookedUpAuditBacklog(Collector):
    """As `LookedUpBacklog`, of the audit trails."""

    def __init__(self) -> None:
        self.seen: AuditBacklog | None = None

    def collect(self) -> Iterable[Metric]:
        if self.seen is None:
            return
        yield GaugeMetricFamily(
            "muniment_audit_unsealed_events",
            "Audit events that are yet to be sealed, of all tenants.",
            self.seen.events,
        )
        yield GaugeMetricFamily(
            "muniment_audit_unsealed_oldest_seconds",
            "Age of the oldest audit event that is yet to be sealed; 0 without any.",
            self.seen.oldest_seconds,
        )


audit_backlog = LookedUpAuditBacklog()
REGISTRY.register(audit_backlog)
webhook_backlog = LookedUpBacklog()
REGISTRY.register(webhook_backlog)


def metrics_text() -> bytes:
    """All metrics in the Prometheus text format, to be served as `METRICS_MEDIA_TYPE`."""
    return generate_latest(REGISTRY)


def watch_certificate(connection: str, ends_at: Callable[[], datetime | None]) -> None:
    """Tells of a certificate's end as it is when somebody asks."""

    def seconds() -> float:
        moment = ends_at()
        return 0.0 if moment is None else moment.timestamp()

    certificate_expiry.labels(connection).set_function(seconds)


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    """Counts one answered request. `route` is the template (`/v1/files/{file_id}`), not the path."""
    http_requests_total.labels(route, method, str(status)).inc()
    http_request_seconds.labels(route, method).observe(seconds)
