"""What key management promises: data keys per blob, wrapped by a key per tenant.

A data key seals one blob. It is stored only wrapped, outside PostgreSQL, so that deleting the
wrapped key erases the content, and destroying a tenant's key erases all of the tenant's at once.
"""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True)
class DataKey:
    """A new data key: 32 bytes of `plaintext` for use now, and `wrapped` for storage."""

    plaintext: bytes = field(repr=False)
    wrapped: bytes


class KeyManagement(Protocol):
    """Keeps the tenants' keys: a key file, Vault transit or AWS KMS.

    `context` says what a data key is for; it is authenticated and must be the same for `unwrap`
    and `rewrap`. Every method may raise `KeyManagementUnavailable`, which a retry may cure, and
    `KeyDestroyed` once the tenant's key was destroyed.
    """

    async def generate_data_key(self, tenant_id: UUID, context: bytes) -> DataKey:
        """A new random data key; the tenant's own keys are made at its first use."""
        ...

    async def unwrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        """The 32 bytes of the data key; `SealBroken` when tenant, key or context do not agree."""
        ...

    async def rewrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        """The same data key under the tenant's newest wrapping key."""
        ...

    async def rotate_tenant_key(self, tenant_id: UUID) -> None:
        """Makes a new wrapping key the tenant's newest; what older ones wrapped still unwraps."""
        ...

    async def destroy_tenant_key(self, tenant_id: UUID) -> None:
        """Forgets all keys of the tenant for good; idempotent. Nothing can be sealed for it again.

        Every process sees it at its next call.
        """
        ...

    async def dedup_tag(self, tenant_id: UUID, sha256: bytes) -> bytes:
        """HMAC-SHA-256 under the tenant's deduplication key of the plaintext's SHA-256.

        Equal content has equal tags within a tenant and unrelated ones across tenants; rotation
        does not change it.
        """
        ...
