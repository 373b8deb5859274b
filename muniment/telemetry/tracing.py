"""OpenTelemetry: spans always exist, so that logs carry their ids; they leave only on request."""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from temporalio.contrib.opentelemetry import TracingInterceptor

EXPORT_TIMEOUT_SECONDS = 5.0
TRACES_PATH = "/v1/traces"


def configure_tracing(process: str, endpoint: str | None = None) -> TracerProvider:
    """Makes the process's tracer provider and installs it; for composition roots, once.

    `endpoint` is an OTLP/HTTP collector's base address, such as `http://localhost:4318`; without
    one nothing is exported. Call `shutdown()` of the result before the process ends: it flushes.
    """
    # Explicit, so that OTEL_… variables of the surroundings add no resource detection.
    resource = Resource({SERVICE_NAME: f"muniment-{process}"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if endpoint:
        address = endpoint.rstrip("/").removesuffix(TRACES_PATH) + TRACES_PATH
        exporter = OTLPSpanExporter(endpoint=address, timeout=EXPORT_TIMEOUT_SECONDS)
        # Its queue is bounded (2,048 spans); a collector that is away costs spans, not memory.
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def temporal_tracing(provider: TracerProvider) -> TracingInterceptor:
    """Carries the trace from client through workflow to activity. Give it to the client only.

    Workers take it over from their client; a second one would double every span.
    """
    return TracingInterceptor(provider.get_tracer("muniment.temporal"))
