"""API processes that listen on the same port."""

import socket

import pytest
import uvicorn

from api.server import listen_beside_others
from muniment.errors import ConfigurationError


async def _application(*_: object) -> None:
    """Never asked."""


def _configuration(host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(_application, host=host, port=port, log_config=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_several_listen_on_the_same_port(host: str) -> None:
    with listen_beside_others(_configuration(host, 0)) as first:
        port = first.getsockname()[1]
        with listen_beside_others(_configuration(host, port)) as second:
            assert second.getsockname()[1] == port
            # Whoever does not share the port is kept from it.
            with pytest.raises(OSError, match="in use"):
                socket.create_server((host, port), family=first.family)


def test_a_port_of_another_program_is_named_and_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of") as refused:
            listen_beside_others(_configuration("127.0.0.1", port))
    assert "MUNIMENT_API__PORT" in refused.value.remedy
