"""Downloads to a path, resumed where they broke."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

import httpx
from pydantic import JsonValue

from muniment.client.actions import Flow, Pause, ReadChunk
from muniment.client.building import Id, segment
from muniment.client.problems import ApiProblem, StreamBroken
from muniment.client.protocol import Protocol
from muniment.errors import ScanPending

_PASSING_STATUSES = frozenset({429, 502, 503, 504})


def download(protocol: Protocol, file_id: Id, target: Path, version: int | None) -> Flow[Path]:
    """Writes a file's content to `target` and returns it.

    The bytes gather in `<target>.part` beside it, which is renamed when all have come, so that a
    target is always whole. A broken connection goes on by Range; If-Range with the ETag makes sure
    that the rest is of the same content. Raises StreamBroken when it breaks too often.
    """
    with _whole_or_not_at_all(target) as part, part.open("wb") as output:
        yield from _Download(protocol, file_id, version, output).run()
    return target


def download_archive(
    protocol: Protocol, files: Sequence[Id | tuple[Id, int]], target: Path
) -> Flow[Path]:
    """Writes a ZIP archive of the files to `target`, which is always whole, and returns it.

    Raises StreamBroken when it breaks off: an archive is made anew for each request, so that there
    is nothing to resume.
    """
    with _whole_or_not_at_all(target) as part:
        with part.open("wb") as output:
            yield from _open_archive(protocol, _archive_body(files))
            while True:
                read = ReadChunk()
                try:
                    yield read
                except httpx.TransportError as error:
                    raise _archive_broken() from error
                if read.chunk is None:
                    break
                output.write(read.chunk)
        # A proxy may have ended a broken answer as if it were whole.
        if not _is_whole(part, len({_key(file) for file in files})):
            raise _archive_broken()
    return target


def _key(file: Id | tuple[Id, int]) -> tuple[str, int | None]:
    return (str(file[0]), file[1]) if isinstance(file, tuple) else (str(file), None)


def _is_whole(archive: Path, count: int) -> bool:
    """Whether its directory is there: that of an archive among the files, which stands in what came as
    it is, has other entries or begins later."""
    try:
        with ZipFile(archive) as opened:
            places = [entry.header_offset for entry in opened.infolist()]
    except BadZipFile:
        return False
    return len(places) == count and min(places, default=0) == 0


def _open_archive(protocol: Protocol, body: dict[str, JsonValue]) -> Flow[None]:
    """Asks for the archive until it begins, as often as a call is repeated."""
    attempt, waited = 0, 0.0
    while True:
        attempt += 1
        request = protocol.request(
            "POST",
            "/v1/files/archive",
            json=body,
            headers={"Accept": "application/zip, application/problem+json"},
        )
        try:
            yield from protocol.open(request)
        except httpx.TransportError as error:
            if attempt >= protocol.retry.attempts:
                raise protocol.unreachable(error) from error
        except ScanPending:
            waited += protocol.retry.longest_delay_seconds
            if waited > protocol.retry.scans_within_seconds:
                raise
            attempt -= 1
            yield Pause(protocol.retry.longest_delay_seconds)
            continue
        except ApiProblem as problem:
            if problem.status_code not in _PASSING_STATUSES or attempt >= protocol.retry.attempts:
                raise
        else:
            return
        yield Pause(protocol.retry.delay(attempt))


def _archive_broken() -> StreamBroken:
    return StreamBroken(
        "the archive broke off",
        remedy="Ask again; if it breaks off again, one of the files cannot be read: download them"
        " one by one to find it.",
    )


@contextlib.contextmanager
def _whole_or_not_at_all(target: Path) -> Iterator[Path]:
    """A path beside the target that becomes it when the block ends, and is removed if it fails."""
    part = target.with_name(target.name + ".part")
    try:
        yield part
        part.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


class _Download:
    def __init__(
        self, protocol: Protocol, file_id: Id, version: int | None, output: BinaryIO
    ) -> None:
        self._protocol = protocol
        self._path = f"/v1/files/{segment(file_id)}/content"
        self._version = version
        self._output = output
        self._etag: str | None = None
        self._expected: int | None = None

    def run(self) -> Flow[None]:
        failures, waited = 0, 0.0
        retry = self._protocol.retry
        while True:
            before = self._output.tell()
            broken: httpx.TransportError | None = None
            try:
                yield from self._one_connection()
                if self._expected is None or self._output.tell() >= self._expected:
                    return
            except httpx.TransportError as error:
                broken = error
            except ScanPending:
                waited += retry.longest_delay_seconds
                if waited > retry.scans_within_seconds:
                    raise
                yield Pause(retry.longest_delay_seconds)
                continue
            except ApiProblem as problem:
                if problem.status_code not in _PASSING_STATUSES:
                    raise
            failures = 1 if self._output.tell() > before else failures + 1
            if failures > retry.attempts:
                if broken is not None and self._output.tell() == 0:
                    raise self._protocol.unreachable(broken) from broken
                raise StreamBroken("the download could not be resumed")
            yield Pause(retry.delay(failures))

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


def _archive_body(files: Sequence[Id | tuple[Id, int]]) -> dict[str, JsonValue]:
    """Each file by its id, or by its id and the number of a version."""
    named: list[JsonValue] = [
        {"id": str(each[0]), "version": each[1]} if isinstance(each, tuple) else {"id": str(each)}
        for each in files
    ]
    return {"files": named}
