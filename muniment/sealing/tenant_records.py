"""What is remembered here of tenants whose keys lie in a key management elsewhere.

A JSON file per tenant, mode 0600, in the folder of the key store and so outside PostgreSQL: which
versions of its key are in use, its deduplication key (wrapped), and whether its keys were destroyed,
so that none are made anew, or are another provider's now. None of it opens anything without the key
management.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from muniment.errors import ConfigurationError, KeyManagementUnavailable
from muniment.sealing.keys import TenantState, unwritable
from muniment.sealing.locked_file import FileLockTimedOut, replace_file, when_locked

logger = logging.getLogger(__name__)


class TenantRecord(BaseModel):
    """Versions below `oldest_version` are retired. `dedup_key` is gone once the keys are destroyed, or
    have moved to another provider: then all versions are retired. `leaving`: they are about to be, and
    wrap nothing any more. `newest_version` is 0 for a tenant that never had keys here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    oldest_version: int = 1
    newest_version: int
    dedup_key: str | None
    leaving: bool = False
    moved: bool = False

    @property
    def state(self) -> TenantState:
        if self.moved:
            return TenantState.MOVED
        if self.dedup_key is None:
            return TenantState.DESTROYED
        return TenantState.LEAVING if self.leaving else TenantState.LIVING

    def written(self) -> bytes:
        """Without the fields that releases before do not know, where there is nothing in them."""
        unsaid = {name for name in ("leaving", "moved") if not getattr(self, name)}
        return self.model_dump_json(exclude=unsaid).encode()


Change = Callable[[TenantRecord | None], TenantRecord]


class TenantRecords:
    """Records in `folder`, which is made at the first change. Any number of processes may share it.

    Raises KeyManagementUnavailable when the folder cannot be used, ConfigurationError when a record
    is damaged.
    """

    def __init__(self, folder: Path, lock_timeout_seconds: float = 10.0) -> None:
        self._folder = folder
        self._lock_timeout_seconds = lock_timeout_seconds

    def read(self, tenant_id: UUID) -> TenantRecord | None:
        try:
            content = self._path(tenant_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyManagementUnavailable(
                f"a tenant's key record cannot be read: {error.strerror}"
            ) from error
        try:
            record = TenantRecord.model_validate_json(content)
        except ValidationError:
            raise ConfigurationError(
                f"the key record of tenant {tenant_id} is damaged",
                remedy="Restore the folder of the key store from its newest backup.",
            ) from None
        if record.format != 1:
            raise ConfigurationError(
                "a tenant's key record was written by a newer release",
                remedy="Run the release that wrote it, or a newer one.",
            )
        return record

    def states(self) -> Mapping[UUID, TenantState]:
        """Of all tenants that have a record. One that is damaged may be a living tenant's: it counts as
        such, and keeps nobody from knowing of the others."""
        found = {tenant_id: self._state(tenant_id) for tenant_id in self._tenants()}
        return {tenant_id: state for tenant_id, state in found.items() if state is not None}

    def _state(self, tenant_id: UUID) -> TenantState | None:
        try:
            record = self.read(tenant_id)
        except ConfigurationError as error:
            logger.error("a key record counts as a living tenant's", extra={"reason": error.detail})
            return TenantState.LIVING
        return None if record is None else record.state

    async def change(self, tenant_id: UUID, change: Change) -> TenantRecord:
        """The record after the change, which is written while no other process does."""
        return await asyncio.to_thread(self._change, tenant_id, change)

    def _change(self, tenant_id: UUID, change: Change) -> TenantRecord:
        path = self._path(tenant_id)
        try:
            with when_locked(path, self._lock_timeout_seconds):
                found = self.read(tenant_id)
                changed = change(found)
                if changed != found:
                    replace_file(path, changed.written())
        except FileLockTimedOut:
            raise KeyManagementUnavailable("another process keeps a key record locked") from None
        except OSError as error:
            raise unwritable("a tenant's key record", error) from error
        return changed

    def _tenants(self) -> list[UUID]:
        try:
            names = [path.stem for path in self._folder.iterdir() if path.suffix == ".json"]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KeyManagementUnavailable(
                f"the tenants' key records cannot be listed: {error.strerror}"
            ) from error
        return [tenant_id for name in names if (tenant_id := _tenant_of(name)) is not None]

    def _path(self, tenant_id: UUID) -> Path:
        return self._folder / f"{tenant_id}.json"


def _tenant_of(name: str) -> UUID | None:
    """None for a file that is no record."""
    try:
        return UUID(name)
    except ValueError:
        return None
