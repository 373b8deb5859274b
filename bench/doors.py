"""Sends content to a server and fetches it again, with as little work on this side as can be."""

import hashlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.stack import Stack

_BARE_FILES = Path(__file__).with_name("bare_files.py")
_BARE_LIST = Path(__file__).with_name("bare_list.py")
_MODEL_SERVER = Path(__file__).with_name("model_server.py")
_SECONDS = 300
"""Longest wait for the server to take or to send something."""
_START_SECONDS = 30.0


class Refused(RuntimeError):
    """The server answered with another status than that of success."""


@dataclass(frozen=True)
class Door:
    """A server, and what each request to it carries."""

    address: str
    headers: Mapping[str, str]

    def send(self, method: str, target: str, content: bytes) -> bytes:
        """The body of the answer. Raises Refused."""
        with closing(self._connect()) as connection:
            headers = {**self.headers, "Content-Type": "application/octet-stream"}
            connection.request(method, target, body=content, headers=headers)
            response = connection.getresponse()
            answer = response.read()
        if response.status >= http.client.BAD_REQUEST:
            raise Refused(f"{method} {target}: {response.status}")
        return answer

    def fetch(self, target: str, into: bytearray) -> int:
        """Fills `into` with the content; how many bytes came. Raises Refused."""
        view, received = memoryview(into), 0
        with closing(self._connect()) as connection:
            connection.request("GET", target, headers=dict(self.headers))
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise Refused(f"GET {target}: {response.status}")
            while count := response.readinto(view[received:]):
                received += count
        return received

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=_SECONDS)


def door_of(stack: Stack) -> Door:
    """The stack's API, for its administrator."""
    return Door(urlsplit(stack.api).netloc, {"Authorization": f"Bearer {stack.key}"})


@contextmanager
def bare_door(folder: Path) -> Iterator[Door]:
    """`bench.bare_files` as a process of its own, over the folder."""
    with _serving(_BARE_FILES, [str(folder)], {}) as (port, _):
        yield Door(f"127.0.0.1:{port}", {})


@dataclass(frozen=True)
class BareList:
    address: str
    process_id: int


@contextmanager
def bare_list(dsn: str) -> Iterator[BareList]:
    """`bench.bare_list` as a process of its own, over the database."""
    with _serving(_BARE_LIST, [], {"BARE_DATABASE": dsn}) as (port, process_id):
        yield BareList(f"http://127.0.0.1:{port}/", process_id)


@contextmanager
def model_server(first_ms: int, between_ms: int, pieces: int) -> Iterator[str]:
    """`bench.model_server` as a process of its own: the base URL of its models."""
    delays = [str(first_ms), str(between_ms), str(pieces)]
    with _serving(_MODEL_SERVER, delays, {}) as (port, _):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def _serving(
    program: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    """Port and process; the program is a session of its own, as the API of an embedded stack is."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-P", str(program), str(port), *arguments],
        env={**os.environ, **environment},
        start_new_session=True,
    )
    try:
        _await_server(process, port)
        yield port, process.pid
    finally:
        # Nothing is left to be finished, and it would wait for connections without limit.
        process.kill()
        process.wait()


def _await_server(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the bare server did not serve in time")


def sha256(content: bytes) -> bytes:
    """As both servers show it: in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest().encode()
