"""Spans are exported when an endpoint is given, and only then."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry import trace

from muniment.telemetry.tracing import configure_tracing


class Collector(ThreadingHTTPServer):
    """Takes OTLP/HTTP and keeps what came, by path."""

    received: list[tuple[str, bytes]]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base's name
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector(("127.0.0.1", 0), _Handler)
    server.received = []
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _provider_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry lets a process set its provider once; tests set it often."""
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _: None)


@pytest.mark.parametrize("suffix", ["", "/", "/v1/traces"])
def test_spans_reach_the_collector(collector: Collector, suffix: str) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_port}{suffix}"
    provider = configure_tracing("worker", endpoint)
    with provider.get_tracer("test").start_as_current_span("read pages"):
        pass
    provider.shutdown()
    [(path, body)] = collector.received
    assert path == "/v1/traces"
    assert b"read pages" in body
    assert b"muniment-worker" in body


def test_without_an_endpoint_spans_exist_and_go_nowhere() -> None:
    provider = configure_tracing("api")
    with provider.get_tracer("test").start_as_current_span("request") as span:
        assert span.get_span_context().is_valid
    provider.shutdown()
