"""The Temporal development server: SQLite in WAL mode, fairness on, search attributes registered."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import platformdirs
from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from deploy.embedded.child import ProcessSpec
from deploy.embedded.home import Home
from deploy.embedded.places import LOOPBACK, Places
from muniment.contracts import search_attributes
from muniment.errors import DependencyUnavailable

NAMESPACE = "default"
OLDEST_SERVER = (1, 29)
"""Fairness between tenants needs this server."""
DYNAMIC_CONFIGURATION = {
    # Priorities and fairness between tenants do nothing without it.
    "matching.enableFairness": "true",
    # A shard looks for new tasks at most 20 times a second by default. With one job running, every
    # activity then waits 45 ms to be handed out: 0.80 s instead of 0.16 s for ten empty activities.
    "history.transferProcessorMaxPollRPS": "1000",
    "history.timerProcessorMaxPollRPS": "1000",
    # Fairness holds within a partition only: of the usual four, one that is served late starves
    # whoever is in it. One serves hundreds of tasks a second. All four are still read, for what an
    # earlier server put there.
    "matching.numTaskqueueWritePartitions": "1",
}
"""What the development server runs with; deploy/compose/temporal-dynamic-config.yaml says the same."""
_REPOSITORY = Path(__file__).parents[2]
_CALL_TIMEOUT = timedelta(seconds=5)
_SILENT = {RPCStatusCode.CANCELLED, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.UNAVAILABLE}
"""What the client says where the server says nothing."""


@cache
def find_temporal() -> Path:
    """The Temporal CLI: on PATH, else where `make setup` puts it.

    Raises DependencyUnavailable when there is none that is new enough.
    """
    on_path = shutil.which("temporal")
    cache_folder = Path(platformdirs.user_cache_dir("muniment"))
    candidates = [
        *([Path(on_path)] if on_path else []),
        _REPOSITORY / ".cache" / "bin" / "temporal",
        cache_folder / "bin" / "temporal",
    ]
    for candidate in candidates:
        if server_version(candidate) >= OLDEST_SERVER:
            return candidate
    raise DependencyUnavailable(
        "the Temporal CLI is missing, or older than server 1.29",
        remedy="Run `make setup`, which downloads or builds it, or put `temporal` on PATH.",
    )


def server_version(program: Path) -> tuple[int, int]:
    """Major and minor version of the server in a Temporal CLI; (0, 0) when it does not run."""
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(r"Server (\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@dataclass(frozen=True)
class TemporalServer:
    """The development server of one home."""

    home: Home
    places: Places
    codec_url: str | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.places.temporal}"

    @property
    def ui_url(self) -> str:
        return f"http://{LOOPBACK}:{self.places.temporal_ui}"

    def spec(self) -> ProcessSpec:
        """How the server is started; a `kill -9` loses nothing, its writes being in the WAL."""
        attributes = (
            f"{key.name}={_type_name(key.indexed_value_type)}" for key in search_attributes.ALL
        )
        command = (
            *(str(find_temporal()), "server", "start-dev"),
            *("--db-filename", str(self.home.temporal_database)),
            # 28 workflows a second instead of 10 without these two (docs/decisions).
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"),
            *("--ip", LOOPBACK, "--port", str(self.places.temporal)),
            *("--ui-port", str(self.places.temporal_ui)),
            *("--http-port", str(self.places.temporal_http)),
            *("--metrics-port", str(self.places.temporal_metrics)),
            # Implies the matcher that knows priorities, too.
            *(
                argument
                for name, value in DYNAMIC_CONFIGURATION.items()
                for argument in ("--dynamic-config-value", f"{name}={value}")
            ),
            *(part for value in attributes for part in ("--search-attribute", value)),
            *("--log-format", "json", "--log-level", "warn", "--disable-config-file"),
            *(("--ui-codec-endpoint", self.codec_url) if self.codec_url else ()),
        )
        return ProcessSpec(
            name="temporal",
            command=command,
            environment=_environment(),
            ready=self.is_ready,
            stop_signals=((signal.SIGTERM, 15.0),),
        )

    async def is_ready(self, process_id: int, started: float) -> bool:
        """Whether the frontend answers and the namespace exists."""
        try:
            client = await self._client()
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=NAMESPACE), timeout=_CALL_TIMEOUT
            )
        except (RPCError, RuntimeError):
            return False
        return True

    async def answers(self) -> bool:
        """Whether the frontend says how it is (grpc.health.v1), well or not."""
        try:
            client = await self._client()
            await client.service_client.check_health(timeout=_CALL_TIMEOUT)
        except RPCError as error:
            return error.status not in _SILENT
        except RuntimeError:
            return False
        return True

    async def unpolled(self, queues: Sequence[str], *, since: float) -> list[str]:
        """The queues that nobody polled for activities after a time (seconds since the epoch).

        The server remembers pollers for minutes after their death, hence `since`.
        """
        try:
            client = await self._client()
            answers = [await _describe(client, queue) for queue in queues]
        except (RPCError, RuntimeError):
            return list(queues)
        return [
            queue
            for queue, answer in zip(queues, answers, strict=True)
            if not any(
                poller.last_access_time.ToMicroseconds() > since * 1e6 for poller in answer.pollers
            )
        ]

    async def _client(self) -> Client:
        """A client that connects at its first call."""
        return await Client.connect(self.address, namespace=NAMESPACE, lazy=True)


async def _describe(client: Client, queue: str) -> DescribeTaskQueueResponse:
    return await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=NAMESPACE,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        ),
        timeout=_CALL_TIMEOUT,
    )


def _type_name(value_type: "IndexedValueType.ValueType | int") -> str:
    """`INDEXED_VALUE_TYPE_KEYWORD_LIST` as the CLI writes it: `KeywordList`."""
    name = IndexedValueType.Name(IndexedValueType.ValueType(int(value_type)))
    words = name.removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


def _environment() -> dict[str, str]:
    """Nothing of the user's TEMPORAL_… variables may point the CLI elsewhere."""
    return {name: os.environ[name] for name in ("HOME", "PATH", "TZ") if name in os.environ}
