"""multipart/form-data (RFC 7578) as a stream: a part's bytes are handed on as they arrive.

Nothing is spooled: what is held at any time is one chunk of the network and its parsed pieces.
"""

import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from muniment.errors import ContentTooLarge, InvalidRequest

MAX_PARTS = 32
_ENCODING = "utf-8"
_EXTENDED_FILENAME = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)


class _Kind(Enum):
    BEGIN = auto()
    DATA = auto()
    END = auto()


@dataclass
class _Event:
    kind: _Kind
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FormPart:
    """One part. `chunks` must be read to its end before the next part comes."""

    name: str
    filename: str | None
    media_type: str | None
    headers: dict[str, str]
    chunks: AsyncIterator[bytes]

    async def text(self, max_bytes: int) -> str:
        """The part's content as UTF-8 text. Raises ContentTooLarge, or InvalidRequest."""
        content = bytearray()
        async for chunk in self.chunks:
            content += chunk
            if len(content) > max_bytes:
                raise ContentTooLarge(f"the field {self.name} is longer than {max_bytes} bytes")
        try:
            return content.decode(_ENCODING)
        except UnicodeDecodeError:
            raise InvalidRequest(f"the field {self.name} is not UTF-8 text") from None


def boundary_of(content_type: str) -> bytes | None:
    """The boundary, when the Content-Type is multipart/form-data; InvalidRequest without one."""
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidRequest("the multipart body's Content-Type names no boundary")
    return boundary


class MultipartForm:
    """The parts of a body, in their order."""

    def __init__(self, chunks: AsyncIterable[bytes], boundary: bytes) -> None:
        self._chunks = aiter(chunks)
        self._events: deque[_Event] = deque()
        self._headers: dict[str, str] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError:
            raise InvalidRequest("the multipart boundary is not acceptable") from None

    async def parts(self) -> AsyncGenerator[FormPart, None]:
        """Raises InvalidRequest when the body is malformed, ends early or has too many parts."""
        count = 0
        while (event := await self._next()) is not None:
            if event.kind is not _Kind.BEGIN:
                continue  # what is left of a part that was not read to its end
            count += 1
            if count > MAX_PARTS:
                raise InvalidRequest(f"the body has more than {MAX_PARTS} parts")
            yield self._part(event.headers)

    def _part(self, headers: dict[str, str]) -> FormPart:
        disposition, options = parse_options_header(headers.get("content-disposition"))
        name = options.get(b"name")
        if disposition != b"form-data" or name is None:
            raise InvalidRequest("a part of the body has no name in its Content-Disposition")
        filename = options.get(b"filename")
        return FormPart(
            name=_decoded(name),
            filename=_extended_filename(headers) if filename is None else _decoded(filename),
            media_type=headers.get("content-type"),
            headers=headers,
            chunks=self._part_chunks(),
        )

    async def _part_chunks(self) -> AsyncIterator[bytes]:
        while (event := await self._next()) is not None and event.kind is _Kind.DATA:
            yield event.data

    async def _next(self) -> _Event | None:
        """The next event; None after the last boundary, and the rest of the body was drained."""
        while not self._events:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                if not self._complete:
                    raise InvalidRequest(
                        "the multipart body ends before its last boundary"
                    ) from None
                return None
            if not self._complete:
                self._feed(chunk)
        return self._events.popleft()

    def _feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise InvalidRequest("the multipart body is malformed") from None

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._header_name.decode("latin-1").lower()
        self._headers[name] = self._header_value.decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        self._events.append(_Event(_Kind.BEGIN, headers=self._headers))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(_Event(_Kind.DATA, data=data[start:end]))

    def _on_part_end(self) -> None:
        self._events.append(_Event(_Kind.END))

    def _on_end(self) -> None:
        self._complete = True


def _extended_filename(headers: dict[str, str]) -> str | None:
    """`filename*=UTF-8''…` (RFC 8187): RFC 7578 forbids it here, and some clients send it alone."""
    match = _EXTENDED_FILENAME.search(headers.get("content-disposition", ""))
    return None if match is None else unquote(match[1], errors="replace")


def _decoded(value: bytes) -> str:
    """A header parameter as browsers and clients send it: raw UTF-8, else Latin-1 (RFC 7578, 5.1)."""
    try:
        return value.decode(_ENCODING)
    except UnicodeDecodeError:
        return value.decode("latin-1")
