"""The API of an embedded stack: one process or several, which share one port.

Each of several has a listening socket of its own on it (SO_REUSEPORT), and Linux spreads connections over
them by the addresses at both ends (socket(7)); what one of them was killed with is gone, and whoever comes
anew is served by another.
"""

import asyncio
import os
import sys
from collections.abc import Collection, Mapping, Sequence

import httpx
import psutil

from deploy.embedded.places import is_free
from muniment.errors import ConfigurationError
from muniment.task_group import task_group

FIRST = "api"
METRICS_VARIABLE = "MUNIMENT_API__METRICS_PORT"
_PORTS = 65_536
_MOST_UNASKED = 2
"""More take their 140 MB each and were not measured."""


def names(asked: int | None, *, is_replaced: bool) -> tuple[str, ...]:
    """Of the processes: `api`, `api-2` and so on. A command that replaces it runs once: nothing makes it
    share its port."""
    if is_replaced:
        return (FIRST,)
    count = asked or (min(_MOST_UNASKED, _cores()) if sys.platform == "linux" else 1)
    return (FIRST, *(f"{FIRST}-{number}" for number in range(2, count + 1)))


def _cores() -> int:
    """Those that we may use, which in a container may be fewer than there are."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def metrics_ports(
    processes: Sequence[str], first: str, taken: Collection[int]
) -> Mapping[str, str]:
    """A port for each process: the one that the user named is the first process's, the others have
    the next ones that nothing of the stack or beside it has. Without a port nothing.

    Raises ConfigurationError when there are too few.
    """
    if not first.isdecimal():
        return {}
    others = (port for port in range(int(first) + 1, _PORTS) if port not in taken and is_free(port))
    ports = [int(first), *(port for _, port in zip(processes[1:], others, strict=False))]
    if len(ports) < len(processes):
        raise ConfigurationError(
            f"{METRICS_VARIABLE} is {first}, and behind it are too few free ports for"
            f" {len(processes)} API processes",
            remedy=f"Choose a lower {METRICS_VARIABLE}, or fewer MUNIMENT_EMBEDDED__API_PROCESSES.",
        )
    return {name: str(port) for name, port in zip(processes, ports, strict=True)}


async def is_healthy(url: str) -> bool:
    """Whether the API answers `/healthz` with success, whichever of its processes."""
    return await answered(url, 1) == 1


async def answered(url: str, connections: int) -> int:
    """How many of so many new connections `/healthz` is answered on with success, within two seconds."""
    none_kept = httpx.Limits(max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(timeout=2.0, trust_env=False, limits=none_kept) as client,
        task_group() as tasks,
    ):
        asked = [tasks.create_task(_is_answered(client, url)) for _ in range(connections)]
    return sum(task.result() for task in asked)


async def _is_answered(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/healthz")).is_success
    except httpx.HTTPError:
        return False


async def listens(process_id: int, port: int) -> bool:
    """Whether this very process takes connections on the port."""
    # On a thread: the system lists all connections of the machine.
    return await asyncio.to_thread(_listens, process_id, port)


def _listens(process_id: int, port: int) -> bool:
    try:
        sockets = psutil.Process(process_id).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)
