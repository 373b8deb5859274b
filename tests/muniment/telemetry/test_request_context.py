"""The request id and the trace reach every activity, on a real Temporal server."""

import io
import json
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import HeaderCodecBehavior
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from muniment.payloads import PayloadKeys, data_converter
from muniment.telemetry import context
from muniment.telemetry.logs import configure_logging
from muniment.telemetry.request_context import RequestContextInterceptor
from muniment.telemetry.tracing import temporal_tracing
from tests.muniment.telemetry.journeys import Child, Journey, Seen, Stumble

CONVERTER = data_converter(PayloadKeys("a", {"a": b"k" * 32}))
WORDS = "words of a document"
CODEC_BEHAVIOURS = [HeaderCodecBehavior.NO_CODEC, HeaderCodecBehavior.CODEC]


def seen(by: str) -> Seen:
    bound = structlog.contextvars.get_contextvars()
    names = ("request_id", "workflow_id", "activity", "attempt")
    return Seen(by=by, **{name: bound.get(name) for name in names})


@activity.defn
async def look(by: str) -> Seen:
    activity.logger.warning("looking")
    return seen(by)


@activity.defn
def look_in_thread(by: str) -> Seen:
    return seen(by)


async def connected(
    address: str,
    provider: TracerProvider,
    behaviour: HeaderCodecBehavior = HeaderCodecBehavior.NO_CODEC,
) -> Client:
    return await Client.connect(
        address,
        data_converter=CONVERTER,
        interceptors=[RequestContextInterceptor(), temporal_tracing(provider)],
        header_codec_behavior=behaviour,
    )


@activity.defn
async def stumble() -> None:
    if activity.info().attempt == 1:
        raise ValueError(WORDS)
    raise ApplicationError(WORDS, type="damaged", non_retryable=True)


@asynccontextmanager
async def worker(client: Client) -> AsyncIterator[str]:
    """A worker on a queue of its own, whose name it gives; nothing of a workflow is cached."""
    queue = f"journeys-{uuid4()}"
    with ThreadPoolExecutor(2) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[Journey, Child, Stumble],
            activities=[look, look_in_thread, stumble],
            activity_executor=threads,
            max_cached_workflows=0,
        ):
            yield queue


@pytest.mark.parametrize("behaviour", CODEC_BEHAVIOURS)
async def test_the_request_id_reaches_every_activity(
    temporal_address: str, behaviour: HeaderCodecBehavior
) -> None:
    client = await connected(temporal_address, TracerProvider(shutdown_on_exit=False), behaviour)
    async with worker(client) as queue:
        with context.bound(request_id="started"):
            handle = await client.start_workflow(
                Journey.run, 0, id=f"journey-{uuid4()}", task_queue=queue
            )
        with context.bound(request_id="poked"):
            await handle.signal(Journey.poke)
        with context.bound(request_id="asked"):
            by_update = await handle.execute_update(Journey.ask)
        results = {found.by: found for found in await handle.result()}
    assert by_update.request_id == "asked"
    assert results.pop("signal").request_id == "poked"
    assert set(results) == {"main", "thread", "local", "child", "after"}
    assert {found.request_id for found in results.values()} == {"started"}
    assert results.pop("child").workflow_id != handle.id
    assert {found.workflow_id for found in results.values()} == {handle.id}
    assert {found.attempt for found in results.values()} == {"1"}
    assert results["thread"].activity == "look_in_thread"

    replayer = Replayer(
        workflows=[Journey],
        data_converter=CONVERTER,
        interceptors=[RequestContextInterceptor()],
        header_codec_behavior=behaviour,
    )
    await replayer.replay_workflow(await handle.fetch_history())


async def test_the_request_id_survives_continue_as_new(temporal_address: str) -> None:
    client = await connected(temporal_address, TracerProvider(shutdown_on_exit=False))
    async with worker(client) as queue:
        with context.bound(request_id="started"):
            handle = await client.start_workflow(
                Journey.run, 1, id=f"journey-{uuid4()}", task_queue=queue
            )
            await handle.signal(Journey.poke)
            await handle.execute_update(Journey.ask)
        [continued] = await handle.result()
    assert (continued.by, continued.request_id) == ("continued", "started")


async def test_without_a_request_the_workflow_runs_as_well(temporal_address: str) -> None:
    client = await connected(temporal_address, TracerProvider(shutdown_on_exit=False))
    async with worker(client) as queue:
        [continued] = await client.execute_workflow(
            Journey.run, 2, id=f"journey-{uuid4()}", task_queue=queue
        )
    assert continued.request_id is None
    assert continued.activity == "look"


async def test_the_trace_runs_from_the_request_to_the_activity(temporal_address: str) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = await connected(temporal_address, provider)
    async with worker(client) as queue:
        with provider.get_tracer("api").start_as_current_span("POST /v1/files") as request:
            await client.execute_workflow(Journey.run, 2, id=f"journey-{uuid4()}", task_queue=queue)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert "RunActivity:look" in spans
    trace_id = request.get_span_context().trace_id
    assert all(span.context and span.context.trace_id == trace_id for span in spans.values())


async def test_log_lines_of_workflow_and_activity_carry_the_request(temporal_address: str) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream, workflow_id = io.StringIO(), f"journey-{uuid4()}"
    configure_logging("worker", "info", stream)
    try:
        client = await connected(temporal_address, TracerProvider(shutdown_on_exit=False))
        async with worker(client) as queue:
            with context.bound(request_id="r-7"):
                await client.execute_workflow(Journey.run, 2, id=workflow_id, task_queue=queue)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    by_event = {line["event"]: line for line in lines}
    for event in ("in the workflow", "looking", "activity ended"):
        assert by_event[event]["request_id"] == "r-7"
        assert by_event[event]["workflow_id"] == workflow_id
    assert by_event["looking"]["activity"] == "look"
    assert len(by_event["looking"]["trace_id"]) == 32
    ended = by_event["activity ended"]
    assert (ended["outcome"], ended["activity"], ended["level"]) == ("completed", "look", "info")
    assert ended["milliseconds"] >= 0


async def test_a_failed_activity_is_logged_by_its_kind_alone(temporal_address: str) -> None:
    root = logging.getLogger("muniment.telemetry.request_context")
    lines = _Lines()
    root.addHandler(lines)
    try:
        client = await connected(temporal_address, TracerProvider(shutdown_on_exit=False))
        async with worker(client) as queue:
            with pytest.raises(WorkflowFailureError):
                await client.execute_workflow(
                    Stumble.run, id=f"stumble-{uuid4()}", task_queue=queue
                )
    finally:
        root.removeHandler(lines)
    assert [vars(line)["outcome"] for line in lines.seen] == ["ValueError", "damaged"]
    assert {line.levelno for line in lines.seen} == {logging.WARNING}
    assert not any(WORDS in str(vars(line)) for line in lines.seen)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)
