"""How many API processes there are, and what they need."""

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from deploy.embedded.api_processes import metrics_ports, names
from deploy.embedded.stack import require_connections
from muniment.errors import ConfigurationError
from muniment.settings import DatabaseSettings, EmbeddedSettings, Settings

THREE = ("api", "api-2", "api-3")


@pytest.fixture
def _one_core() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems confine no process to cores")
@pytest.mark.usefixtures("_one_core")
def test_who_has_one_core_has_one_process() -> None:
    assert names(None, is_replaced=False) == ("api",)
    assert names(2, is_replaced=False) == ("api", "api-2")


def test_ports_that_others_have_are_left_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = metrics_ports(THREE, str(port - 1), {port + 1})
    assert found["api"] == str(port - 1)
    assert {int(found["api-2"]), int(found["api-3"])}.isdisjoint({port, port + 1})


def test_a_port_behind_which_there_are_too_few_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="65535") as refused:
        metrics_ports(THREE, "65535", ())
    assert "MUNIMENT_API__METRICS_PORT" in refused.value.remedy


@pytest.mark.parametrize(
    ("processes", "pool_size", "is_allowed"),
    [(2, 10, True), (8, 10, True), (16, 10, False), (8, 20, False)],
)
def test_more_connections_than_there_are_is_refused_at_the_start(
    processes: int, pool_size: int, is_allowed: bool
) -> None:
    settings = Settings(
        embedded=EmbeddedSettings(api_processes=processes),
        database=DatabaseSettings(pool_size=pool_size),
    )
    if is_allowed:
        require_connections(settings)
        return
    with pytest.raises(ConfigurationError, match=f"^{processes} API processes") as refused:
        require_connections(settings)
    assert "MUNIMENT_DATABASE__POOL_SIZE" in refused.value.remedy
