"""A worker's figures, for Prometheus to fetch: stages and jobs are counted where they run."""

from prometheus_client import start_http_server

from muniment.errors import ConfigurationError
from muniment.telemetry.metrics import REGISTRY


def serve_metrics(host: str, port: int) -> None:
    """Serves `/metrics` from a thread until the process ends; ConfigurationError when the port
    cannot be had."""
    try:
        start_http_server(port, host, registry=REGISTRY)
    except OSError as error:
        raise ConfigurationError(
            f"Metrics cannot be served on {host}:{port} ({error.strerror}).",
            remedy="Give each worker process of a machine its own MUNIMENT_WORKER__METRICS_PORT.",
        ) from error
