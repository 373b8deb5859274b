"""Ports and the socket folder of a home."""

import socket
import stat
from pathlib import Path

import pytest

from deploy.embedded.home import Home
from deploy.embedded.places import LONGEST_SOCKET_PATH_BYTES, SOCKET_NAME, choose_places
from muniment.errors import ConfigurationError


def _home(path: Path) -> Home:
    home = Home(path)
    home.create()
    return home


def test_ports_are_kept_from_one_start_to_the_next(tmp_path: Path) -> None:
    home = _home(tmp_path / "home")
    assert choose_places(home, None) == choose_places(home, None)


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    home = _home(tmp_path / "home")
    before = choose_places(home, None)
    with socket.create_server(("127.0.0.1", before.temporal)):
        after = choose_places(home, None)
    assert after.temporal != before.temporal
    assert after.api == before.api


def test_an_asked_port_is_used_or_refused(tmp_path: Path) -> None:
    home = _home(tmp_path / "home")
    free = choose_places(home, None).api
    assert choose_places(home, free).api == free
    with (
        socket.create_server(("127.0.0.1", free)),
        pytest.raises(ConfigurationError, match=str(free)),
    ):
        choose_places(home, free)
    with pytest.raises(ConfigurationError, match="70000"):
        choose_places(home, 70_000)


def test_a_deep_home_gets_a_short_private_socket_folder_and_keeps_it(tmp_path: Path) -> None:
    home = _home(tmp_path / ("deep" * 25) / "home")
    places = choose_places(home, None)
    assert len(bytes(places.sockets / SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES
    assert stat.S_IMODE(places.sockets.stat().st_mode) == 0o700
    assert choose_places(home, None).sockets == places.sockets
    places.sockets.chmod(0o755)
    replaced = choose_places(home, None).sockets
    assert replaced != places.sockets
    for folder in (places.sockets, replaced):
        folder.rmdir()


def test_a_home_that_others_could_enter_is_closed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    home = _home(tmp_path / "home")
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
