"""Server-sent events on the wire (WHATWG HTML, 9.2)."""

MEDIA_TYPE = "text/event-stream"
SNAPSHOT = "snapshot"
HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": heartbeat\n\n"
RECONNECT = b"retry: 2000\n\n"


def server_sent_event(event: str, data: str, event_id: str | None = None) -> bytes:
    """One event; `data` is JSON, which has no line breaks of its own."""
    identity = f"id: {event_id}\n" if event_id is not None else ""
    return f"{identity}event: {event}\ndata: {data}\n\n".encode()
