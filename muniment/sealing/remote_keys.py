"""Key management by a service elsewhere: wrapping keys never leave it, and are not seen here.

A wrapped data key is `<service>:v<version>:<base64>`, as Vault writes it. The deduplication key of a
tenant is a data key like any other, kept wrapped in its record (`tenant_records`); unwrapped it is
remembered for five minutes.
"""

import asyncio
import hmac
import re
from collections.abc import Mapping
from hashlib import sha256 as hash_sha256
from typing import Protocol
from uuid import UUID

from muniment.errors import KeyDestroyed, SealBroken
from muniment.sealing.floe import KEY_BYTES
from muniment.sealing.key_cache import ExpiringCache
from muniment.sealing.keys import DataKey, TenantState, moved_elsewhere, require_older
from muniment.sealing.tenant_records import TenantRecord, TenantRecords

SHA256_BYTES = 32
REMEMBERED_TENANTS = 1024
"""How many tenants' deduplication keys a process remembers."""
_NEVER_HERE = TenantRecord(newest_version=0, dedup_key=None, moved=True)
_WRAPPED = re.compile(rb"[a-z]+:v([1-9][0-9]{0,8}):[A-Za-z0-9+/]+={0,2}")


class KeyService(Protocol):
    """A service that keeps one key for each tenant, in versions.

    Every method may raise `KeyManagementUnavailable`. Wrapped data keys are as above, and the caller
    looks at the version first.
    """

    @property
    def name(self) -> str:
        """What wrapped data keys begin with."""
        ...

    async def make_key(self, tenant_id: UUID) -> int:
        """Makes the tenant's key unless it is there; its newest version."""
        ...

    async def rotate(self, tenant_id: UUID, above: int) -> int:
        """Makes a new version unless there is one above that; the newest."""
        ...

    async def generate_data_key(self, tenant_id: UUID, version: int, context: bytes) -> DataKey:
        """A new data key, wrapped by that version or a newer one."""
        ...

    async def wrap(self, tenant_id: UUID, version: int, plaintext: bytes, context: bytes) -> bytes:
        """A data key that was made elsewhere, wrapped by that version or a newer one."""
        ...

    async def unwrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        """The data key; `SealBroken` when it was not wrapped by this tenant's key for the context."""
        ...

    async def rewrap(self, tenant_id: UUID, wrapped: bytes, context: bytes, version: int) -> bytes:
        """The data key wrapped by that version or a newer one, without showing it here."""
        ...

    async def retire(self, tenant_id: UUID, below: int) -> None:
        """Has those versions unwrap nothing any more; idempotent."""
        ...

    async def retire_all(self, tenant_id: UUID, newest_version: int) -> None:
        """Has every version unwrap nothing any more; idempotent. A later `rotate` makes one that does."""
        ...

    async def destroy(self, tenant_id: UUID, newest_version: int) -> None:
        """Destroys all versions of the key; idempotent."""
        ...

    async def probe(self) -> None:
        """Returns when it answers and lets us in."""
        ...

    async def close(self) -> None:
        """Gives back connections and threads."""
        ...


class RemoteKeys:
    """`KeyManagement` on such a service. For one event loop; any number of processes may share the
    records."""

    def __init__(self, service: KeyService, records: TenantRecords) -> None:
        self._service = service
        self._records = records
        self._dedup_keys: ExpiringCache[UUID, bytes] = ExpiringCache(REMEMBERED_TENANTS)

    @property
    def name(self) -> str:
        return self._service.name

    async def generate_data_key(self, tenant_id: UUID, context: bytes) -> DataKey:
        record = _wrapping(await self._tenant(tenant_id))
        return await self._service.generate_data_key(tenant_id, record.newest_version, context)

    async def unwrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        self._require_in_use(await self._known(tenant_id), wrapped)
        return _require_key(await self._service.unwrap(tenant_id, wrapped, context))

    async def rewrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        record = await self._known(tenant_id)
        self._require_in_use(record, wrapped)
        _wrapping(record)
        if version_of(wrapped) >= record.newest_version:
            return wrapped
        return await self._service.rewrap(tenant_id, wrapped, context, record.newest_version)

    async def newest_version(self, tenant_id: UUID) -> int:
        return _wrapping(await self._tenant(tenant_id)).newest_version

    async def rotate_tenant_key(self, tenant_id: UUID, above: int) -> int:
        record = _wrapping(await self._tenant(tenant_id))
        if record.newest_version > above:
            return record.newest_version
        version = await self._service.rotate(tenant_id, record.newest_version)
        # With the version itself: once it is the newest nothing must hang on older ones but blobs.
        dedup_key = await self._service.rewrap(
            tenant_id, _dedup_key(record), _dedup_context(tenant_id), version
        )

        def rotated(current: TenantRecord | None) -> TenantRecord:
            current = _wrapping(current or record)
            if current.newest_version >= version:
                return current
            changes = {"newest_version": version, "dedup_key": dedup_key.decode()}
            return current.model_copy(update=changes)

        return (await self._records.change(tenant_id, rotated)).newest_version

    async def retire_versions(self, tenant_id: UUID, below: int) -> None:
        record = _wrapping(await self._tenant(tenant_id))
        require_older(below, record.newest_version)

        def retired(current: TenantRecord | None) -> TenantRecord:
            current = _wrapping(current or record)
            oldest = max(current.oldest_version, below)
            return current.model_copy(update={"oldest_version": oldest})

        # What the record says: a call that comes late takes nothing back that a later one retired.
        changed = await self._records.change(tenant_id, retired)
        await self._service.retire(tenant_id, changed.oldest_version)

    async def destroy_tenant_key(self, tenant_id: UUID) -> None:
        def destroyed(current: TenantRecord | None) -> TenantRecord:
            version = current.newest_version if current else 1
            return TenantRecord(newest_version=version, dedup_key=None)

        # The record first: from here on no process uses the key, or makes another.
        record = await self._records.change(tenant_id, destroyed)
        self._dedup_keys.forget(tenant_id)
        await self._service.destroy(tenant_id, record.newest_version)

    async def dedup_tag(self, tenant_id: UUID, sha256: bytes) -> bytes:
        if len(sha256) != SHA256_BYTES:
            raise ValueError("a SHA-256 digest is 32 bytes long")
        return hmac.digest(await self.dedup_key(tenant_id), sha256, hash_sha256)

    def wrapped_here(self, wrapped: bytes) -> bool:
        return wrapped.startswith(f"{self.name}:".encode())

    def state(self, tenant_id: UUID) -> TenantState:
        record = self._records.read(tenant_id)
        return TenantState.UNKNOWN if record is None else record.state

    def states(self) -> Mapping[UUID, TenantState]:
        return self._records.states()

    async def wrap(self, tenant_id: UUID, plaintext: bytes, context: bytes) -> bytes:
        version = _wrapping(await self._tenant(tenant_id)).newest_version
        return await self._service.wrap(tenant_id, version, plaintext, context)

    async def dedup_key(self, tenant_id: UUID) -> bytes:
        record = await self._tenant(tenant_id)
        key = self._dedup_keys.get(tenant_id)
        if key is None:
            key = await self.unwrap(tenant_id, _dedup_key(record), _dedup_context(tenant_id))
            self._dedup_keys.put(tenant_id, key)
        return key

    async def take_over(self, tenant_id: UUID, dedup_key: bytes) -> None:
        read = await asyncio.to_thread(self._records.read, tenant_id)
        record = read or _NEVER_HERE
        _refuse_destroyed(record)
        if record.state is TenantState.LIVING:
            return
        # Above all that it ever had here: what was retired stays so, and where the tenant was leaving,
        # the service may refuse all that there was.
        above = record.newest_version
        made_here = (
            self._service.rotate(tenant_id, above) if above else self._service.make_key(tenant_id)
        )
        version = await made_here
        context = _dedup_context(tenant_id)
        wrapped = await self._service.wrap(tenant_id, version, dedup_key, context)
        oldest = above + 1 if record.moved else record.oldest_version
        made = TenantRecord(
            oldest_version=oldest, newest_version=version, dedup_key=wrapped.decode()
        )

        def taken(current: TenantRecord | None) -> TenantRecord:
            # Another process was quicker, or destroyed the keys.
            return made if current == read else current or made

        self._dedup_keys.forget(tenant_id)
        _wrapping(await self._records.change(tenant_id, taken))

    async def leave(self, tenant_id: UUID) -> None:
        def left(current: TenantRecord | None) -> TenantRecord:
            current = current or _NEVER_HERE
            if current.state is not TenantState.LIVING:
                return current
            return current.model_copy(update={"leaving": True})

        await self._records.change(tenant_id, left)

    async def move_away(self, tenant_id: UUID) -> None:
        record = await asyncio.to_thread(self._records.read, tenant_id)
        if record is not None and record.state is TenantState.LIVING:
            raise moved_elsewhere()
        if record is None or record.state is not TenantState.LEAVING:
            return
        # The service first: once the record says so, nothing there opens anything.
        await self._service.retire_all(tenant_id, record.newest_version)

        def moved(current: TenantRecord | None) -> TenantRecord:
            current = current or record
            if current.state is not TenantState.LEAVING:
                return current
            return current.model_copy(update={"dedup_key": None, "leaving": False, "moved": True})

        await self._records.change(tenant_id, moved)
        self._dedup_keys.forget(tenant_id)

    async def probe(self) -> None:
        await self._service.probe()

    async def close(self) -> None:
        await self._service.close()

    async def _tenant(self, tenant_id: UUID) -> TenantRecord:
        record = await asyncio.to_thread(self._records.read, tenant_id)
        if record is None:
            record = await self._new_tenant(tenant_id)
        return _opening(record)

    async def _new_tenant(self, tenant_id: UUID) -> TenantRecord:
        """The tenant's record, made with its key unless another process has just done so."""
        version = await self._service.make_key(tenant_id)
        context = _dedup_context(tenant_id)
        dedup_key = await self._service.generate_data_key(tenant_id, version, context)
        made = TenantRecord(newest_version=version, dedup_key=dedup_key.wrapped.decode())
        return await self._records.change(tenant_id, lambda current: current or made)

    async def _known(self, tenant_id: UUID) -> TenantRecord:
        # Never makes keys: an unknown tenant here means that these are not the right records.
        record = await asyncio.to_thread(self._records.read, tenant_id)
        if record is None:
            raise SealBroken(
                "the key store has no record of this tenant",
                remedy="Restore the folder of the key store from its backup.",
            )
        _refuse_destroyed(record)
        return record

    def _require_in_use(self, record: TenantRecord, wrapped: bytes) -> None:
        if version_of(wrapped) < record.oldest_version or record.moved:
            raise SealBroken(
                "the version of the tenant's key that wrapped this data key is retired",
                remedy="Restore the newest backup of the wrapped keys, or see the key rotations.",
            )


def version_of(wrapped: bytes) -> int:
    """Of the tenant's key that wrapped it; `SealBroken` for what is no wrapped data key."""
    found = _WRAPPED.fullmatch(wrapped)
    if found is None:
        raise SealBroken("a wrapped data key is cut short or of another format")
    return int(found[1])


def _require_key(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise SealBroken("the key management gave a data key of another length")
    return key


def _opening(record: TenantRecord) -> TenantRecord:
    _refuse_destroyed(record)
    if record.moved:
        raise moved_elsewhere()
    return record


def _wrapping(record: TenantRecord) -> TenantRecord:
    if _opening(record).leaving:
        raise moved_elsewhere()
    return record


def _refuse_destroyed(record: TenantRecord) -> None:
    if record.state is TenantState.DESTROYED:
        raise KeyDestroyed("the keys of this tenant were destroyed")


def _dedup_key(record: TenantRecord) -> bytes:
    return (_opening(record).dedup_key or "").encode()


def _dedup_context(tenant_id: UUID) -> bytes:
    return f"muniment/v1|{tenant_id}|deduplication".encode()
