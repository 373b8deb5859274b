"""What `/metrics` shows."""

from prometheus_client.parser import text_string_to_metric_families

from muniment.telemetry import metrics


def sample(name: str, **labels: str) -> float:
    """The value in the text that is served; 0 when it is not there."""
    for family in text_string_to_metric_families(metrics.metrics_text().decode()):
        for found in family.samples:
            if found.name == name and found.labels == labels:
                return float(found.value)
    return 0.0


def test_requests_are_counted_by_route_method_and_status() -> None:
    labels = {"route": "/v1/files/{file_id}", "method": "GET"}
    before = sample("muniment_http_requests_total", **labels, status="404")
    metrics.observe_request("/v1/files/{file_id}", "GET", 404, 0.01)
    assert sample("muniment_http_requests_total", **labels, status="404") == before + 1
    assert sample("muniment_http_request_seconds_count", **labels) >= 1


def test_jobs_are_counted_by_kind_and_state() -> None:
    before = sample("muniment_jobs_total", kind="ingest_file", state="completed")
    metrics.jobs_total.labels("ingest_file", "completed").inc()
    assert sample("muniment_jobs_total", kind="ingest_file", state="completed") == before + 1
