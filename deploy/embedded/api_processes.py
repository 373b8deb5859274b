"""The API of an embedded stack: one process or several, which share one port.

Each of several has a listening socket of its own on it (SO_REUSEPORT), and Linux spreads connections over
them by the addresses at both ends (socket(7)); what one of them was killed with is gone, and whoever comes
anew is served by another.
"""

import os
import sys
from collections.abc import Mapping, Sequence

import httpx
import psutil

FIRST = "api"
METRICS_VARIABLE = "MUNIMENT_API__METRICS_PORT"
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
    return os.cpu_count() or 1


def metrics_ports(processes: Sequence[str], first: str, taken: Sequence[int]) -> Mapping[str, str]:
    """A port for each process: the one that the user named is the first process's, the others have
    the next ones that no other process of the stack has. Without a port nothing."""
    if not first.isdecimal():
        return {}
    ports = [int(first)]
    while len(ports) < len(processes):
        following = ports[-1] + 1
        while following in taken:
            following += 1
        ports.append(following)
    return {name: str(port) for name, port in zip(processes, ports, strict=True)}


async def is_healthy(url: str) -> bool:
    """Whether the API answers `/healthz` with success, whichever of its processes."""
    try:
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            return (await client.get(f"{url}/healthz")).is_success
    except httpx.HTTPError:
        return False


def listens(process_id: int, port: int) -> bool:
    """Whether this very process takes connections on the port."""
    try:
        sockets = psutil.Process(process_id).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)
