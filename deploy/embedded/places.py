"""Ports and the socket folder of a home: chosen once, kept while they are free."""

import errno
import os
import random
import socket
import stat
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.embedded.home import Home, write_privately
from muniment.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
LONGEST_SOCKET_PATH_BYTES = 103  # sun_path: 108 bytes on Linux, 104 on macOS, with the final NUL
SOCKET_NAME = ".s.PGSQL.5432"
# Below the ranges that Linux (32768-60999) and macOS (49152-65535) hand to outgoing connections,
# so that a port stays ours while its process restarts.
_PORT_RANGE = range(20_000, 32_000)
_MOST_TRIES = 200
_PORTS = ("api", "temporal", "temporal_ui", "temporal_http", "temporal_metrics")


class Places(BaseModel):
    """`run/places.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    api: int
    temporal: int
    temporal_ui: int
    temporal_http: int
    temporal_metrics: int
    sockets: Path

    def ports(self) -> tuple[int, ...]:
        return tuple(getattr(self, name) for name in _PORTS)


def choose_places(home: Home, api_port: int | None) -> Places:
    """The ports and socket folder of this home, recorded for the next start.

    `api_port`, when given, is used or refused; the others are last time's when free, else new.
    Raises ConfigurationError when the asked port is taken or no free one is found.
    """
    try:
        before = Places.model_validate_json(home.places.read_bytes()).model_dump()
    except (FileNotFoundError, ValidationError):
        before = {}
    if api_port is not None and api_port not in range(1, 65_536):
        raise ConfigurationError(
            f"{api_port} is not a port",
            remedy="Give a --port from 1 to 65535, or leave it out to get a free one.",
        )
    if api_port and not is_free(api_port):
        raise ConfigurationError(
            f"port {api_port} is taken by another program",
            remedy="Choose another --port, or leave it out to get a free one.",
        )
    taken: set[int] = set()
    ports: dict[str, int] = {}
    for name in _PORTS:
        wanted = api_port if name == "api" and api_port else before.get(name)
        ports[name] = _port(wanted, taken)
        taken.add(ports[name])
    places = Places(**ports, sockets=_socket_folder(home, before.get("sockets")))
    write_privately(home.places, places.model_dump_json(indent=2) + "\n")
    return places


def _port(wanted: int | None, taken: set[int]) -> int:
    if wanted and wanted not in taken and is_free(wanted):
        return wanted
    for _ in range(_MOST_TRIES):
        port = random.choice(_PORT_RANGE)  # noqa: S311 - chosen to be free, not to be secret
        if port not in taken and is_free(port):
            return port
    raise ConfigurationError(
        "no free port was found on the loopback address",
        remedy="Close programs that listen on many ports, then start again.",
    )


def is_free(port: int) -> bool:
    """Whether a server could listen there now: on loopback and on all addresses."""
    for address in (LOOPBACK, ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return False
                raise
    return True


def _socket_folder(home: Home, before: Path | None) -> Path:
    """A private folder whose socket path fits the kernel's limit: in the home where it is short."""
    inside = home.run / "postgres"
    if len(os.fsencode(inside / SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES:
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside
    if before is not None and _is_private_folder(Path(before)):
        return Path(before)
    return Path(tempfile.mkdtemp(prefix="muniment-"))


def _is_private_folder(folder: Path) -> bool:
    """A folder (not a link to one) that only root, we or the database's account can enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    ours = found.st_uid == os.geteuid() or os.geteuid() == 0
    return stat.S_ISDIR(found.st_mode) and ours and not found.st_mode & 0o077
