"""What is sent, and how long a receiver asks to be left alone."""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from db.models import WebhookEvent
from muniment.contracts.deliver_webhook import MAX_WAIT_SECONDS


def body_of(event: WebhookEvent) -> bytes:
    """The same at every attempt: `type`, `timestamp` (when it happened), `data`: ids and states, some
    hundred bytes (Standard Webhooks asks for less than 20 kB)."""
    message = {
        "type": event.type,
        "timestamp": event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": event.data,
    }
    return json.dumps(message, separators=(",", ":"), sort_keys=True).encode()


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Of a `Retry-After` header (RFC 9110, section 10.2.3), within MAX_WAIT_SECONDS; None for one that
    is neither seconds nor a date."""
    if header is None:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header[:9]), MAX_WAIT_SECONDS)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)
