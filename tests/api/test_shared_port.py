"""API processes that listen on the same port."""

import socket

import pytest
import uvicorn

from api.__main__ import _serve_metrics
from api.server import listen_beside_others
from muniment.errors import ConfigurationError
from muniment.settings import ApiSettings

HOST = "127.0.0.1"


async def _application(*_: object) -> None:
    """Never asked."""


def _configuration(port: int) -> uvicorn.Config:
    return uvicorn.Config(_application, host=HOST, port=port, log_config=None)


def test_several_listen_on_the_same_port() -> None:
    with listen_beside_others(_configuration(0)) as first:
        port = first.getsockname()[1]
        with listen_beside_others(_configuration(port)) as second:
            assert second.getsockname()[1] == port
            # Whoever does not share the port is kept from it.
            with pytest.raises(OSError, match="in use"):
                socket.create_server((HOST, port))


def test_a_port_of_another_program_is_named_and_refused() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of") as refused:
            listen_beside_others(_configuration(port))
    assert "MUNIMENT_API__PORT" in refused.value.remedy


def test_a_port_for_figures_of_another_program_is_named_and_refused() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}") as refused:
            _serve_metrics(ApiSettings(host=HOST), port)
    assert "MUNIMENT_API__METRICS_PORT" in refused.value.remedy
