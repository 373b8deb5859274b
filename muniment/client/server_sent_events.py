"""Server-sent events, decoded as the WHATWG HTML standard says (§9.2.6)."""

import codecs
from dataclasses import dataclass

from muniment.client.problems import StreamBroken

LARGEST_EVENT_CHARACTERS = 16 * 1024 * 1024


@dataclass(frozen=True)
class ServerSentEvent:
    """`id` is the last id seen on the stream so far, as the standard asks."""

    event: str
    data: str
    id: str


class Decoder:
    """Bytes in any pieces go in, whole events come out; an event cut off at the end is dropped.

    `retry_seconds` is what the server last asked for, if it did.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_seconds: float | None = None
        self._text = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._pending = ""
        self._ended_by_return = False
        self._event = ""
        self._data: list[str] = []
        self._id = last_event_id

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        text = self._text.decode(chunk)
        if not text:
            return []
        # A carriage return ends its line at once; the line feed of a CRLF that was cut in two
        # ends no other.
        line_feed_is_rest = self._ended_by_return and text.startswith("\n")
        self._ended_by_return = text.endswith("\r")
        text = self._pending + text[line_feed_is_rest:]
        *lines, self._pending = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if len(self._pending) + sum(map(len, self._data)) > LARGEST_EVENT_CHARACTERS:
            raise StreamBroken("an event of the stream is larger than any of the API's")
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry_seconds = int(value) / 1000
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        self.last_event_id = self._id
        return ServerSentEvent(event or "message", "\n".join(data), self._id) if data else None
