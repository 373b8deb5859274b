"""Key management in one file, for the embedded stack: AES-256-GCM under per-tenant keys.

The file is JSON, mode 0600, and holds per tenant its wrapping keys by version and its
deduplication key. It is replaced whole (written beside, synced, renamed), so readers need no
lock; writers of all processes take turns on a lock file. Whoever has it reads everything: it
belongs on its own disk, with a backup of its own and a short retention.

A wrapped data key is 65 bytes:

    1 format (1) · 4 key version, big endian · 12 IV · 32 ciphertext · 16 GCM tag

with associated data `muniment/v1/data-key|tenant|` and the context. IVs are random: one wrapping
key may serve 2**32 data keys (NIST SP 800-38D, 8.3); rotate before.
"""

import asyncio
import hmac
import os
import stat
from collections.abc import Callable, Mapping
from hashlib import sha256 as hash_sha256
from pathlib import Path
from typing import Literal
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from muniment.errors import ConfigurationError, KeyDestroyed, KeyManagementUnavailable, SealBroken
from muniment.sealing.floe import KEY_BYTES
from muniment.sealing.keys import DataKey, TenantState, moved_elsewhere, require_older, unwritable
from muniment.sealing.locked_file import FileLockTimedOut, replace_file, when_locked

WRAPPED_FORMAT = 1
_VERSION_END = 5
_IV_END = _VERSION_END + 12
WRAPPED_BYTES = _IV_END + KEY_BYTES + 16
SHA256_BYTES = 32


class _TenantKeys(BaseModel):
    """One tenant's keys; without any once they were destroyed, so that none are made anew.
    `leaving`: another provider wraps now. `moved_at_version`: the newest one when the tenant had moved
    there. The file has neither while no provider was changed, so that releases before it read the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dedup_key: Base64Bytes | None = Field(default=None, repr=False)
    wrapping_keys: dict[int, Base64Bytes] = Field(default_factory=dict, repr=False)
    leaving: Literal[True] | None = None
    moved_at_version: int | None = None

    @property
    def state(self) -> TenantState:
        if self.moved_at_version is not None:
            return TenantState.MOVED
        if self.dedup_key is None or not self.wrapping_keys:
            return TenantState.DESTROYED
        return TenantState.LEAVING if self.leaving else TenantState.LIVING

    @property
    def newest_version(self) -> int:
        return max(self.wrapping_keys)

    def with_wrapping_keys(self, keys: dict[int, bytes]) -> "_TenantKeys":
        return self.model_copy(update={"wrapping_keys": keys})


class _Contents(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    tenants: dict[UUID, _TenantKeys] = Field(default_factory=dict)

    def with_tenant(self, tenant_id: UUID, keys: _TenantKeys) -> "_Contents":
        return _Contents(tenants={**self.tenants, tenant_id: keys})


_Stamp = tuple[int, int, int]
_Change = Callable[[_Contents], _Contents]


class KeyFile:
    """`KeyManagement` on the file at `path`, made with its folder at the first use.

    Any number of processes may use it at the same time. Raises `ConfigurationError` when the
    file is damaged or readable by others than its owner.
    """

    def __init__(self, path: Path, lock_timeout_seconds: float = 10.0) -> None:
        self._path = path
        self._lock_timeout_seconds = lock_timeout_seconds
        self._read: tuple[_Stamp, _Contents] | None = None

    @property
    def name(self) -> str:
        return "file"

    async def generate_data_key(self, tenant_id: UUID, context: bytes) -> DataKey:
        keys = _wrapping(await self._tenant(tenant_id))
        plaintext = os.urandom(KEY_BYTES)
        return DataKey(plaintext, _wrap(keys, tenant_id, plaintext, context))

    async def unwrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        # Never makes keys: an unknown tenant here means that the key file is not the right one.
        keys = self._contents().tenants.get(tenant_id)
        if keys is None:
            raise SealBroken(
                "the key file does not know this tenant",
                remedy="Restore the key file from its backup; nothing is lost while it exists.",
            )
        return _unwrap(keys, tenant_id, wrapped, context)

    async def rewrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        plaintext = await self.unwrap(tenant_id, wrapped, context)
        keys = _wrapping(await self._tenant(tenant_id))
        if _version_of(wrapped) == keys.newest_version:
            return wrapped
        return _wrap(keys, tenant_id, plaintext, context)

    async def newest_version(self, tenant_id: UUID) -> int:
        return _wrapping(await self._tenant(tenant_id)).newest_version

    async def rotate_tenant_key(self, tenant_id: UUID, above: int) -> int:
        def rotated(contents: _Contents) -> _Contents:
            keys = _wrapping(contents.tenants.get(tenant_id) or _new_tenant())
            if keys.newest_version > above:
                return contents
            fresh = {keys.newest_version + 1: os.urandom(KEY_BYTES)}
            return contents.with_tenant(
                tenant_id, keys.with_wrapping_keys({**keys.wrapping_keys, **fresh})
            )

        return (await self._change(rotated)).tenants[tenant_id].newest_version

    async def retire_versions(self, tenant_id: UUID, below: int) -> None:
        def retired(contents: _Contents) -> _Contents:
            keys = _wrapping(contents.tenants.get(tenant_id) or _new_tenant())
            require_older(below, keys.newest_version)
            kept = {version: key for version, key in keys.wrapping_keys.items() if version >= below}
            return contents.with_tenant(tenant_id, keys.with_wrapping_keys(kept))

        await self._change(retired)

    async def destroy_tenant_key(self, tenant_id: UUID) -> None:
        await self._change(lambda contents: contents.with_tenant(tenant_id, _TenantKeys()))

    async def dedup_tag(self, tenant_id: UUID, sha256: bytes) -> bytes:
        if len(sha256) != SHA256_BYTES:
            raise ValueError("a SHA-256 digest is 32 bytes long")
        return hmac.digest(await self.dedup_key(tenant_id), sha256, hash_sha256)

    def wrapped_here(self, wrapped: bytes) -> bool:
        return len(wrapped) == WRAPPED_BYTES and wrapped[0] == WRAPPED_FORMAT

    def state(self, tenant_id: UUID) -> TenantState:
        keys = self._contents().tenants.get(tenant_id)
        return TenantState.UNKNOWN if keys is None else keys.state

    def states(self) -> Mapping[UUID, TenantState]:
        return {tenant_id: keys.state for tenant_id, keys in self._contents().tenants.items()}

    async def wrap(self, tenant_id: UUID, plaintext: bytes, context: bytes) -> bytes:
        return _wrap(_wrapping(await self._tenant(tenant_id)), tenant_id, plaintext, context)

    async def dedup_key(self, tenant_id: UUID) -> bytes:
        key = (await self._tenant(tenant_id)).dedup_key
        assert key is not None  # noqa: S101 — `_opening` vouches for it; this tells the type checker
        return key

    async def take_over(self, tenant_id: UUID, dedup_key: bytes) -> None:
        def taken(contents: _Contents) -> _Contents:
            keys = contents.tenants.get(tenant_id)
            _refuse_destroyed(keys := keys or _TenantKeys(moved_at_version=0))
            if keys.state is TenantState.LIVING:
                return contents
            # Above all that it ever had here: an old version's number is not used again.
            version = 1 + max((keys.moved_at_version or 0, *keys.wrapping_keys))
            wrapping_keys = {**keys.wrapping_keys, version: os.urandom(KEY_BYTES)}
            made = _TenantKeys.model_construct(dedup_key=dedup_key, wrapping_keys=wrapping_keys)
            return contents.with_tenant(tenant_id, made)

        await self._change(taken)

    async def leave(self, tenant_id: UUID) -> None:
        def left(contents: _Contents) -> _Contents:
            keys = contents.tenants.get(tenant_id) or _TenantKeys(moved_at_version=0)
            if keys.state is TenantState.LIVING:
                keys = keys.model_copy(update={"leaving": True})
            return contents.with_tenant(tenant_id, keys)

        await self._change(left)

    async def move_away(self, tenant_id: UUID) -> None:
        def moved(contents: _Contents) -> _Contents:
            keys = contents.tenants.get(tenant_id)
            if keys is not None and keys.state is TenantState.LIVING:
                raise moved_elsewhere()
            if keys is None or keys.state is not TenantState.LEAVING:
                return contents
            return contents.with_tenant(
                tenant_id, _TenantKeys(moved_at_version=keys.newest_version)
            )

        await self._change(moved)

    async def probe(self) -> None:
        self._contents()

    async def close(self) -> None:
        """Nothing is held between calls."""

    async def _tenant(self, tenant_id: UUID) -> _TenantKeys:
        keys = self._contents().tenants.get(tenant_id)
        if keys is None:
            keys = (await self._change(_adding(tenant_id))).tenants[tenant_id]
        return _opening(keys)

    async def _change(self, change: _Change) -> _Contents:
        return await asyncio.to_thread(self._change_locked, change)

    def _change_locked(self, change: _Change) -> _Contents:
        """Reads, changes and replaces the file while no other process does."""
        try:
            with when_locked(self._path, self._lock_timeout_seconds):
                contents = change(self._contents())
                # Without the fields that releases before do not know, where there is nothing in them.
                written = contents.model_dump_json(indent=1, exclude_none=True)
                replace_file(self._path, written.encode())
        except FileLockTimedOut:
            raise KeyManagementUnavailable("another process keeps the key file locked") from None
        except OSError as error:
            raise unwritable("the key file", error) from error
        return contents

    def _contents(self) -> _Contents:
        """The file's present contents; read again only when the file was replaced."""
        read = self._read
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if read is not None and read[0] == stamp:
                return read[1]
            _refuse_open_rights(found.st_mode)
            contents = _parse(self._path.read_bytes())
        except FileNotFoundError:
            return _Contents()
        except OSError as error:
            raise KeyManagementUnavailable(
                f"the key file cannot be read: {error.strerror}"
            ) from error
        # A replacement between `stat` and the read leaves an older stamp: it is read once more.
        self._read = (stamp, contents)
        return contents


def _new_tenant() -> _TenantKeys:
    # `model_construct` because the field type would take the raw bytes for base64.
    return _TenantKeys.model_construct(
        dedup_key=os.urandom(KEY_BYTES), wrapping_keys={1: os.urandom(KEY_BYTES)}
    )


def _adding(tenant_id: UUID) -> _Change:
    """Gives the tenant keys unless another process has just done so."""

    def added(contents: _Contents) -> _Contents:
        if tenant_id in contents.tenants:
            return contents
        return contents.with_tenant(tenant_id, _new_tenant())

    return added


def _opening(keys: _TenantKeys) -> _TenantKeys:
    _refuse_destroyed(keys)
    if keys.state is TenantState.MOVED:
        raise moved_elsewhere()
    return keys


def _wrapping(keys: _TenantKeys) -> _TenantKeys:
    if _opening(keys).state is TenantState.LEAVING:
        raise moved_elsewhere()
    return keys


def _refuse_destroyed(keys: _TenantKeys) -> None:
    if keys.state is TenantState.DESTROYED:
        raise KeyDestroyed("the keys of this tenant were destroyed")


def _wrap(keys: _TenantKeys, tenant_id: UUID, plaintext: bytes, context: bytes) -> bytes:
    version = keys.newest_version
    head = WRAPPED_FORMAT.to_bytes(1, "big") + version.to_bytes(4, "big")
    iv = os.urandom(12)
    associated_data = _associated_data(tenant_id, context)
    return head + iv + AESGCM(keys.wrapping_keys[version]).encrypt(iv, plaintext, associated_data)


def _unwrap(keys: _TenantKeys, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
    _refuse_destroyed(keys)
    if len(wrapped) != WRAPPED_BYTES or wrapped[0] != WRAPPED_FORMAT:
        raise SealBroken("a wrapped data key is cut short or of another format")
    key = keys.wrapping_keys.get(_version_of(wrapped))
    if key is None:
        raise SealBroken(
            "the key file lacks the version of the tenant's key that wrapped this data key: it was"
            " retired, or the file is an old one",
            remedy="Restore the newest backup of the key file, or of the wrapped keys.",
        )
    associated_data = _associated_data(tenant_id, context)
    try:
        return AESGCM(key).decrypt(
            wrapped[_VERSION_END:_IV_END], wrapped[_IV_END:], associated_data
        )
    except InvalidTag:
        raise SealBroken("a wrapped data key does not authenticate") from None


def _version_of(wrapped: bytes) -> int:
    return int.from_bytes(wrapped[1:_VERSION_END], "big")


def _associated_data(tenant_id: UUID, context: bytes) -> bytes:
    return b"muniment/v1/data-key|" + str(tenant_id).encode() + b"|" + context


def _refuse_open_rights(mode: int) -> None:
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            "the key file is open to other users than its owner",
            remedy="Take their rights away (chmod 600), and rotate the keys if anyone used them.",
        )


def _parse(content: bytes) -> _Contents:
    try:
        contents = _Contents.model_validate_json(content)
    except ValidationError:
        # The cause would show key material.
        raise ConfigurationError(
            "the key file is damaged", remedy="Restore the key file from its newest backup."
        ) from None
    if contents.format != 1:
        raise ConfigurationError(
            "the key file was written by a newer release",
            remedy="Run the release that wrote it, or a newer one.",
        )
    return contents
