"""The audit trail and its proofs as clients see them."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue

from api.times import UtcTime
from muniment.audit.exported import Base64, ExportedLine


class AuditEvent(BaseModel):
    """One act, written in the transaction of what it reports. `seq` is its place in the sealed trail, null
    for some seconds. `origin` is the address that it came from, null for what Muniment did by itself; with
    `payload` it is null as well where both were erased."""

    id: UUID
    seq: int | None
    at: UtcTime
    actor_id: UUID | None
    actor_kind: str
    action: str
    object_type: str
    object_id: UUID | None
    request_id: str | None
    workflow_id: str | None
    origin: str | None
    payload: dict[str, JsonValue] | None


class AuditCheckpoint(BaseModel):
    """What was signed of the trail when it had `size` events: the root of its Merkle tree (RFC 6962), and
    the note (C2SP tlog-checkpoint) that says so. `verifier_key` is the key's public half: who trusts it has
    it from elsewhere. `consistency` proves that the trail of the size that was asked for is its beginning."""

    size: int
    root: Base64
    created_at: UtcTime
    note: str
    verifier_key: str
    consistency: list[Base64] | None = None


class AuditProof(BaseModel):
    """That the event at `seq` stands in the trail of the checkpoint: its leaf as it was hashed, and the
    hashes from there up to the root."""

    seq: int
    leaf: str
    leaf_hash: Base64
    hashes: list[Base64]
    checkpoint: AuditCheckpoint


class SealedTrail(BaseModel):
    """A part of the sealed trail as `muniment audit verify` reads it, from the oldest event on: events, and
    the checkpoints behind them. `next` is the `first` of the part behind it, null where there is none."""

    data: list[ExportedLine]
    next: Annotated[int | None, Field(description="`first` of the next part.")]
