"""Whose a payload is: its decrypted content says so, which nobody can have written but this service, which
has the key, and operators, for whom the codec encrypts."""

import json
from collections.abc import Sequence
from uuid import UUID

from temporalio.api.common.v1 import Payload

_NAME = "tenant_id"
_LONGEST_NAMING_BYTES = 2 * 1024**2
"""Temporal takes no longer payload (`limit.blobSize.error`); what is parsed is many times as large."""


def own_alone(
    tenant_id: UUID, payloads: Sequence[Payload], decoded: Sequence[Payload]
) -> list[Payload]:
    """Decoded where the content names this tenant and no other, else as the payload came."""
    return [
        content if names_alone(tenant_id, content.data) else payload
        for payload, content in zip(payloads, decoded, strict=True)
    ]


def names_alone(tenant_id: UUID, content: bytes) -> bool:
    """Whether this is a JSON object that names the tenant, or whose members do (the inputs in
    `muniment.contracts` hold a `version` or a `request` that does), and names no other."""
    if len(content) > _LONGEST_NAMING_BYTES:
        return False
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    holders = [value, *(member for member in value.values() if isinstance(member, dict))]
    return {str(holder[_NAME]) for holder in holders if _NAME in holder} == {str(tenant_id)}
