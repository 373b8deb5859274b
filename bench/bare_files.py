"""What uploads and downloads are measured by: uvicorn with nothing behind it but a folder.

`python bench/bare_files.py PORT FOLDER`: PUT hashes the body, writes it, syncs file and folder, and
answers with the SHA-256; GET sends it. Nothing is sealed, checked or noted, and all of it is done on
the event loop, one thing after the other: the straightforward way, not the shortest.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send

from muniment.sealing.locked_file import sync_folder

_PIECE_BYTES = 1024 * 1024
_LOOPBACK = "127.0.0.1"


class BareFiles:
    """The ASGI application over one folder; the path's last part is a file's name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._folder / scope["path"].rpartition("/")[2]
        if scope["method"] == "PUT":
            digest = await _receive(path, receive)
            await _send(send, iter([digest]), len(digest))
        elif path.is_file():
            await _send(send, _pieces(path), path.stat().st_size)
        else:
            await _send(send, iter(()), 0, status=404)


async def _receive(path: Path, receive: Receive) -> bytes:
    """The hexadecimal SHA-256 of the body, which lies on the disk then."""
    digest, more = hashlib.sha256(), True
    with path.open("wb", buffering=0) as file:
        while more:
            message = await receive()
            digest.update(message["body"])
            file.write(message["body"])
            more = message["more_body"]
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return digest.hexdigest().encode()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


async def _send(send: Send, pieces: Iterator[bytes], length: int, status: int = 200) -> None:
    headers = [(b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    uvicorn.run(
        BareFiles(folder),
        host=_LOOPBACK,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
