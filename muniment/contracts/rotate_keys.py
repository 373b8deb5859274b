"""The `RotateKeys` workflow: a tenant gets a new version of its key, every wrapped data key is wrapped by
that one, and the older versions are retired. Blobs stay as they are.

The wrapped keys are looked through twice: at once, and again after a while, for what was being stored
under the old version when the new one was made. How far it has come is in the rotation's row, so that
whoever goes on with it goes on there; histories carry ids and counts.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "RotateKeys"
SHARDS = 256
"""A tenant's wrapped keys lie in so many folders, by the last byte of their blobs' ids."""
ROUNDS = 2


class RotationState(StrEnum):
    """`waiting`: for uploads that were under way; the old versions still unwrap. `failed`: some keys
    could not be re-wrapped, and so nothing was retired."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class RotateKeysInput(Contract):
    tenant_id: UUID
    rotation_id: UUID


class RewrapResult(Contract):
    """`is_last`: nothing is left to be looked at. Else there is more to do, after so long."""

    is_last: bool
    wait_seconds: float = 0.0


class EndRotationInput(Contract):
    tenant_id: UUID
    rotation_id: UUID
    state: RotationState


def workflow_id(rotation_id: UUID) -> str:
    return f"rotate-keys-{rotation_id}"


class KeyRotationActivities(ABC):
    @activity.defn(name="begin_key_rotation")
    @abstractmethod
    async def begin_key_rotation(self, request: RotateKeysInput) -> None:
        """Makes the new version, once however often it is repeated. Nothing for one that is over."""

    @activity.defn(name="rewrap_keys")
    @abstractmethod
    async def rewrap_keys(self, request: RotateKeysInput) -> RewrapResult:
        """Wraps the next data keys anew, for some seconds at most. Those that are wrapped so already
        are passed over: a repetition finds less to do."""

    @activity.defn(name="finish_key_rotation")
    @abstractmethod
    async def finish_key_rotation(self, request: RotateKeysInput) -> None:
        """Retires the older versions, those of former providers too, unless a data key still hangs on
        one. Idempotent."""

    @activity.defn(name="end_key_rotation")
    @abstractmethod
    async def end_key_rotation(self, request: EndRotationInput) -> None:
        """Ends one that was cancelled or failed: all versions go on unwrapping. Idempotent."""
