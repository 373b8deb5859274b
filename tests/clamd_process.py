"""A real clamd with signatures of the tests' own, dated as they need."""

import hashlib
import io
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from deploy.embedded.scanner import clamd_program, configuration

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
"""Assembled here, so that no scanner takes offence at this file."""
CVD_HEADER_BYTES = 512


class ClamdProcess:
    """`address` is its socket. `changes` replaces lines of the embedded stack's configuration."""

    def __init__(self, folder: Path, changes: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.address = str(folder / "socket")
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "db").mkdir()
        (folder / "db" / "test.ndb").write_text(
            f"Muniment.Test.Eicar:0:*:{EICAR.hex()}\n", encoding="ascii"
        )
        text = configuration(Path(self.address), folder / "db")
        for line, other in (changes or {}).items():
            assert line in text, line
            text = text.replace(line, other)
        (folder / "clamd.conf").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Returns once it listens."""
        binary = clamd_program()
        if binary is None:
            pytest.skip("clamd is not installed: `make setup` says how to install it")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(binary), "-c", str(self.folder / "clamd.conf")], stdout=log, stderr=log
            )
        for _ in range(1200):
            assert self._process.poll() is None, "clamd ended at once"
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(self.address) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("clamd did not listen within two minutes")

    def date(self, built_at: datetime, number: int = 27_800) -> None:
        """Has it load a database of that number and date; at once where it runs."""
        (self.folder / "db" / "daily.cud").write_bytes(unsigned_database(built_at, number))
        if self._process is not None:
            self._ask(b"zRELOAD\0")
            expected = f"/{number}/{built_at:%a %b}".encode()
            for _ in range(600):
                if expected in self._ask(b"zVERSION\0"):
                    return
                time.sleep(0.1)
            raise AssertionError("clamd did not load its database within a minute")

    def _ask(self, command: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(self.address)
            connection.sendall(command)
            return connection.recv(4096)

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=60)

    def hold(self) -> None:
        """It takes connections, and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=60)


def unsigned_database(built_at: datetime, number: int) -> bytes:
    """A `.cud`, ClamAV's container for databases that nobody signed: a header of 512 bytes, then a
    packed archive with the signatures and the list of them."""
    signatures = f"Muniment.Test.Daily:0:*:{b'a made-up sign of evil'.hex()}\n".encode()
    day, moment = built_at.strftime("%d %b %Y %H-%M +0000"), int(built_at.timestamp())
    head = f"ClamAV-VDB:{day}:{number}:1:216:{{}}:X:tests:{moment}"
    listed = f"daily.ndb:{len(signatures)}:{hashlib.sha256(signatures).hexdigest()}\n"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (
            ("COPYING", b"made for tests\n"),
            ("daily.info", f"{head.format('X')}\n{listed}".encode()),
            ("daily.ndb", signatures),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    body = packed.getvalue()
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return head.format(digest).encode().ljust(CVD_HEADER_BYTES) + body


@contextmanager
def clamd(changes: dict[str, str] | None = None) -> Iterator[ClamdProcess]:
    """Started, and gone with its folder afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="muniment-test-clamd-"))
    process = ClamdProcess(folder, changes)
    try:
        process.start()
        yield process
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)
