"""What of an audit event goes into the tree.

A leaf is the event without its details, which personal data may be among, but with a commitment to them:

    leaf        canonical JSON (RFC 8785) of `Leaf`: ids and hashes in lower case, times in UTC with
                microseconds (2026-01-31T12:00:00.000000Z), null for what there is none of
    commitment  SHA-256(salt ‖ canonical JSON of {"origin": …, "payload": …}), in hexadecimal

So the details can be erased with their salt, and the leaf goes on proving. RFC 8785 has no integers beyond
±(2**53 - 1): of those the payload's have their digits as a string, as RFC 7493 (2.2) recommends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from json.encoder import encode_basestring
from uuid import UUID

import rfc8785
from pydantic import JsonValue

FORMAT = 1
_LARGEST_INTEGER = 2**53 - 1


@dataclass(frozen=True)
class Leaf:
    """An event at its place in the tenant's trail, of which `seq` 0 is the first."""

    seq: int
    event_id: UUID
    tenant_id: UUID
    at: datetime
    actor_id: UUID | None
    actor_kind: str
    action: str
    object_type: str
    object_id: UUID | None
    request_id: str | None
    workflow_id: str | None
    commitment: bytes

    def canonical(self) -> bytes:
        """The bytes of the leaf. Written out, since a verifier writes them by the million: the names are in
        their order, and of strings JSON's own encoder writes what RFC 8785 does."""
        return (
            f'{{"action":{encode_basestring(self.action)}'
            f',"actor_id":{_id(self.actor_id)}'
            f',"actor_kind":{encode_basestring(self.actor_kind)}'
            f',"at":"{written_time(self.at)}"'
            f',"commitment":"{self.commitment.hex()}"'
            f',"event_id":"{self.event_id}"'
            f',"format":{FORMAT}'
            f',"object_id":{_id(self.object_id)}'
            f',"object_type":{encode_basestring(self.object_type)}'
            f',"request_id":{_text(self.request_id)}'
            f',"seq":{self.seq}'
            f',"tenant_id":"{self.tenant_id}"'
            f',"workflow_id":{_text(self.workflow_id)}}}'
        ).encode()


def commitment_to(salt: bytes, origin: str | None, payload: Mapping[str, JsonValue]) -> bytes:
    """The 32 bytes that stand for an event's details in its leaf."""
    details = {"origin": origin, "payload": _within_range(dict(payload))}
    return sha256(salt + rfc8785.dumps(details)).digest()


def written_time(moment: datetime) -> str:
    """As a leaf has it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _within_range(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: _within_range(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_within_range(each) for each in value]
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return str(value)
    return value


def _id(value: UUID | None) -> str:
    return "null" if value is None else f'"{value}"'


def _text(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)
