"""Downloads to a path, resumed where they broke."""

import contextlib
from pathlib import Path
from typing import BinaryIO

import httpx

from muniment.client.actions import Flow, Pause, ReadChunk
from muniment.client.calls import Id
from muniment.client.problems import ApiProblem, StreamBroken
from muniment.client.protocol import Protocol

_PASSING_STATUSES = frozenset({429, 502, 503, 504})


def download(protocol: Protocol, file_id: Id, target: Path, version: int | None) -> Flow[Path]:
    """Writes a file's content to `target` and returns it.

    The bytes gather in `<target>.part` beside it, which is renamed when all have come, so that a
    target is always whole. A broken connection goes on by Range; If-Range with the ETag makes sure
    that the rest is of the same content. Raises StreamBroken when it breaks too often.
    """
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as output:
            yield from _Download(protocol, file_id, version, output).run()
        part.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return target


class _Download:
    def __init__(
        self, protocol: Protocol, file_id: Id, version: int | None, output: BinaryIO
    ) -> None:
        self._protocol = protocol
        self._path = f"/v1/files/{file_id}/content"
        self._version = version
        self._output = output
        self._etag: str | None = None
        self._expected: int | None = None

    def run(self) -> Flow[None]:
        failures = 0
        while True:
            before = self._output.tell()
            broken: httpx.TransportError | None = None
            try:
                yield from self._one_connection()
                if self._expected is None or self._output.tell() >= self._expected:
                    return
            except httpx.TransportError as error:
                broken = error
            except ApiProblem as problem:
                if problem.status_code not in _PASSING_STATUSES:
                    raise
            failures = 1 if self._output.tell() > before else failures + 1
            if failures > self._protocol.retry.attempts:
                if broken is not None and self._output.tell() == 0:
                    raise self._protocol.unreachable(broken) from broken
                raise StreamBroken("the download could not be resumed")
            yield Pause(self._protocol.retry.delay(failures))

    def _one_connection(self) -> Flow[None]:
        response = yield from self._protocol.open(self._request())
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            self._output.seek(0)
            self._output.truncate()
        self._etag = response.headers.get("etag", self._etag)
        length = response.headers.get("content-length")
        if length is not None:
            self._expected = self._output.tell() + int(length)
        while True:
            read = ReadChunk()
            yield read
            if read.chunk is None:
                return
            self._output.write(read.chunk)

    def _request(self) -> httpx.Request:
        # Identity: offsets are those of the content, not of a compressed form.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if self._etag is not None and self._output.tell():
            headers |= {"Range": f"bytes={self._output.tell()}-", "If-Range": self._etag}
        return self._protocol.request(
            "GET", self._path, parameters={"version": self._version}, headers=headers
        )
