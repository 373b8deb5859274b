"""The bare server that uploads and downloads are measured by, and the client of both."""

import os
from pathlib import Path

import pytest

from bench.doors import Refused, bare_door, sha256


def test_the_bare_server_keeps_and_gives_back_what_is_sent(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * 1024 + 7)
    received = bytearray(len(content) + 1)
    with bare_door(tmp_path) as door:
        assert door.send("PUT", "/kept", content) == sha256(content)
        assert (tmp_path / "kept").read_bytes() == content
        assert door.fetch("/kept", received) == len(content)
        assert received[: len(content)] == content
        with pytest.raises(Refused):
            door.fetch("/absent", received)
