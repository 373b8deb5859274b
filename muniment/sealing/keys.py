"""What key management promises: data keys per blob, wrapped by a key per tenant.

A data key seals one blob. It is stored only wrapped, outside PostgreSQL, so that deleting the
wrapped key erases the content, and destroying a tenant's key erases all of the tenant's at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from errno import EDQUOT, ENOSPC
from typing import Protocol
from uuid import UUID

from muniment.errors import KeyManagementUnavailable, KeyStorageFull


@dataclass(frozen=True)
class DataKey:
    """A new data key: 32 bytes of `plaintext` for use now, and `wrapped` for storage."""

    plaintext: bytes = field(repr=False)
    wrapped: bytes


class KeyManagement(Protocol):
    """Keeps the tenants' keys: a key file, Vault transit or AWS KMS.
    `tests/conformance/key_management.py` holds every one to it.

    `context` says what a data key is for; it is authenticated and must be the same for `unwrap`
    and `rewrap`. Every method may raise `KeyManagementUnavailable`, which a retry may cure, and
    `KeyDestroyed` once the tenant's key was destroyed.

    A tenant's key has versions, from 1. The newest wraps; older ones go on unwrapping until they
    are retired.
    """

    @property
    def name(self) -> str:
        """Of the provider that wraps: `file`, `vault` or `aws`. Versions are counted by each of them
        alone."""
        ...

    async def generate_data_key(self, tenant_id: UUID, context: bytes) -> DataKey:
        """A new random data key; the tenant's own keys are made at its first use."""
        ...

    async def unwrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        """The 32 bytes of the data key; `SealBroken` when tenant, key or context do not agree, and
        when the version that wrapped it is retired."""
        ...

    async def rewrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        """The same data key under the newest version; as it is where that one wrapped it. Raises as
        `unwrap` does."""
        ...

    async def newest_version(self, tenant_id: UUID) -> int:
        """The version that wraps now."""
        ...

    async def rotate_tenant_key(self, tenant_id: UUID, above: int) -> int:
        """Makes a new version unless there is one above that; the newest. So a repetition of what
        was interrupted makes no further one."""
        ...

    async def retire_versions(self, tenant_id: UUID, below: int) -> None:
        """Has those versions unwrap nothing any more; idempotent. Every data key that is needed was
        re-wrapped before."""
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

    async def probe(self) -> None:
        """Returns when keys can be used right now; for health checks."""
        ...

    async def close(self) -> None:
        """Gives back connections and threads. It is not used afterwards."""
        ...


class TenantState(StrEnum):
    """What a provider has of a tenant. `leaving`: another provider wraps for it now, and what was wrapped
    here still unwraps. `moved`: that does not unwrap any more either."""

    UNKNOWN = "unknown"
    LIVING = "living"
    LEAVING = "leaving"
    MOVED = "moved"
    DESTROYED = "destroyed"


class KeyProvider(KeyManagement, Protocol):
    """A key management that tenants can be moved to and from (`changing_keys`). Both have their wrapped
    data keys, by whose format is seen whose they are."""

    def wrapped_here(self, wrapped: bytes) -> bool:
        """Whether it has the format of what this kind of provider wraps."""
        ...

    def state(self, tenant_id: UUID) -> TenantState:
        """Out of files on this machine; it blocks for a moment."""
        ...

    def states(self) -> Mapping[UUID, TenantState]:
        """Of all tenants that are not unknown; it blocks as long as reading their records takes."""
        ...

    async def wrap(self, tenant_id: UUID, plaintext: bytes, context: bytes) -> bytes:
        """A data key that another provider unwrapped, under the newest version."""
        ...

    async def dedup_key(self, tenant_id: UUID) -> bytes:
        """What `dedup_tag` computes with, 32 bytes; it goes where the tenant goes."""
        ...

    async def take_over(self, tenant_id: UUID, dedup_key: bytes) -> None:
        """Gives the tenant keys here, and that deduplication key, unless it lives here; idempotent. One
        that had left gets a new version: what wraps now is told from what wrapped before."""
        ...

    async def leave(self, tenant_id: UUID) -> None:
        """Has nothing be wrapped for the tenant here any more, nor keys be made for one that is unknown;
        idempotent. Another provider has taken it over."""
        ...

    async def move_away(self, tenant_id: UUID) -> None:
        """Has all versions of a tenant that is leaving unwrap nothing any more; idempotent, and nothing
        for one without keys. All that is needed was wrapped by another provider before.

        KeyManagementUnavailable for one that lives here: its keys wrap again, or still."""
        ...


def require_older(below: int, newest_version: int) -> None:
    """ValueError for a call that would retire the version that wraps."""
    if below > newest_version:
        raise ValueError("the newest version of a tenant's key cannot be retired")


def unwritable(what: str, error: OSError) -> KeyManagementUnavailable:
    """For a file of the folder of keys that the system does not let be written."""
    if error.errno in (ENOSPC, EDQUOT):
        return KeyStorageFull(f"{what} cannot be written: its disk is full")
    return KeyManagementUnavailable(
        f"{what} cannot be written: {error.strerror}",
        remedy="Mend the disk or the rights of the folder of keys (MUNIMENT_KEYS__ROOT).",
    )


def moved_elsewhere() -> KeyManagementUnavailable:
    """For a process that would wrap with a provider whose tenant has moved to another one."""
    return KeyManagementUnavailable(
        "the tenant's keys have moved to another key management",
        remedy="Start this process with the settings (MUNIMENT_KEYS__…) that the others have.",
    )
