"""What `/metrics` shows."""

import asyncio
from contextlib import nullcontext

import pytest
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


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "completed"), (ValueError, "failed"), (asyncio.CancelledError, "cancelled")],
)
def test_a_stage_is_timed_with_its_outcome(error: type[BaseException] | None, outcome: str) -> None:
    labels = {"stage": "scan", "outcome": outcome}
    before = sample("muniment_stage_seconds_count", **labels)
    expected = nullcontext() if error is None else pytest.raises(error)
    with expected, metrics.timed_stage("scan"):
        if error is not None:
            raise error
    assert sample("muniment_stage_seconds_count", **labels) == before + 1


def test_jobs_are_counted_by_kind_and_state() -> None:
    before = sample("muniment_jobs_total", kind="ingest", state="completed")
    metrics.jobs_total.labels("ingest", "completed").inc()
    assert sample("muniment_jobs_total", kind="ingest", state="completed") == before + 1
