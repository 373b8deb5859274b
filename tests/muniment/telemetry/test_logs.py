"""Log lines: one JSON object each, with their context, without secrets."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from muniment.telemetry import context
from muniment.telemetry.logs import WITHHELD, configure_logging

Line = dict[str, object]


class Log(io.StringIO):
    def lines(self) -> list[Line]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def line(self) -> Line:
        [only] = self.lines()
        return only


@pytest.fixture
def log() -> Iterator[Log]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = Log()
    configure_logging("api", "info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_says_when_where_and_what(log: Log) -> None:
    structlog.get_logger("api.files").info("file stored", size_bytes=5)
    line = log.line()
    assert {**line, "time": ""} == {
        "time": "",
        "level": "info",
        "event": "file stored",
        "logger": "api.files",
        "process": "api",
        "size_bytes": 5,
    }
    written = datetime.fromisoformat(str(line["time"]))
    assert written.utcoffset() == timedelta(0)
    assert str(line["time"]).endswith("Z")


def test_standard_logging_comes_in_the_same_form(log: Log) -> None:
    logging.getLogger("uvicorn.error").warning("listening on %s", "port 1", extra={"pages": 2})
    line = log.line()
    assert (line["event"], line["level"], line["pages"]) == ("listening on port 1", "warning", 2)
    assert (line["logger"], line["process"]) == ("uvicorn.error", "api")


def test_lines_below_the_level_are_left_out(log: Log) -> None:
    structlog.get_logger().debug("one")
    logging.getLogger("a").debug("two")
    assert log.lines() == []


def test_what_is_bound_is_in_every_line_until_it_is_unbound(log: Log) -> None:
    with context.bound(request_id="r-1", tenant_id="t-1"):
        structlog.get_logger().info("ours")
        logging.getLogger("library").warning("theirs")
        assert context.request_id() == "r-1"
    logging.getLogger("library").warning("after")
    ours, theirs, after = log.lines()
    assert ours["request_id"] == theirs["request_id"] == "r-1"
    assert ours["tenant_id"] == theirs["tenant_id"] == "t-1"
    assert "request_id" not in after
    assert context.request_id() is None


async def test_requests_side_by_side_do_not_mix(log: Log) -> None:
    async def serve(request_id: str) -> None:
        with context.bound(request_id=request_id):
            await asyncio.sleep(0)
            await asyncio.to_thread(logging.getLogger("t").warning, request_id)

    await asyncio.gather(*(serve(f"r-{number}") for number in range(5)))
    assert all(line["event"] == line["request_id"] for line in log.lines())
    assert len(log.lines()) == 5


def test_a_line_within_a_span_carries_its_ids(log: Log) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("serve") as span:
        logging.getLogger("a").warning("within")
    line = log.line()
    assert line["trace_id"] == format(span.get_span_context().trace_id, "032x")
    assert line["span_id"] == format(span.get_span_context().span_id, "016x")


@pytest.mark.parametrize(
    "name",
    ["password", "Authorization", "share_password", "api_key", "access_token", "client-secret",
     "text", "content", "quote", "query", "Cookie", "dsn"],
)  # fmt: skip
def test_secrets_and_content_are_withheld_by_name(log: Log, name: str) -> None:
    structlog.get_logger().info("a", **{name: "hidden"})
    structlog.get_logger().info("a", headers=[{"deeper": {name: "hidden"}}])
    logging.getLogger("library").warning("a", extra={name: "hidden"})
    assert "hidden" not in log.getvalue()
    assert log.lines()[0][name] == WITHHELD


@pytest.mark.parametrize("name", ["token_count", "api_key_id", "content_length", "context", "key"])
def test_names_that_only_resemble_them_are_kept(log: Log, name: str) -> None:
    structlog.get_logger().info("a", **{name: 7})
    assert log.line()[name] == 7


def test_bytes_are_never_written(log: Log) -> None:
    structlog.get_logger().info("a", page=b"hidden", pages=[b"hidden"])
    assert "hidden" not in log.getvalue()


def test_ids_are_written_plainly_and_objects_by_their_type_alone(log: Log) -> None:
    file_id = UUID(int=7)
    structlog.get_logger().info("a", file_id=file_id, holder=SimpleNamespace(words="hidden"))
    assert log.line()["file_id"] == str(file_id)
    assert log.line()["holder"] == "<SimpleNamespace>"


def test_an_exception_stays_one_line(log: Log) -> None:
    try:
        raise ValueError("what happened")
    except ValueError:
        logging.getLogger("a").exception("failed")
    assert "builtins.ValueError" in str(log.line()["exception"])


def test_an_exception_is_told_without_its_message(log: Log) -> None:
    try:
        try:
            raise ValueError("Ada Lovelace was born in London")
        except ValueError as cause:
            raise KeyError("Ada") from cause
    except KeyError:
        logging.getLogger("worker").exception("a stage failed")
    told = str(log.line()["exception"])
    assert "builtins.KeyError" in told
    assert "because of builtins.ValueError" in told
    assert "test_an_exception_is_told_without_its_message" in told
    assert "Ada" not in json.dumps(log.lines())
