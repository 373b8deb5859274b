"""`/v1/audit`: the audit trail, and the proofs that nobody changed it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import JsonValue

from muniment.client.building import Id, get, segment
from muniment.client.models import Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_nothing
from muniment.client.protocol import Call

_PATH = "/v1/audit"
MAX_EXPORTED = 1000


class AuditCheckpoint(Record):
    """What was signed of the trail when it had `size` events. `root` and `consistency` are base64."""

    size: int
    root: str
    created_at: datetime | None = None
    note: str
    verifier_key: str = ""
    consistency: Sequence[str] | None = None


class AuditProof(Record):
    """That the event at `seq` stands in the trail of the checkpoint; hashes are base64."""

    seq: int
    leaf: str
    leaf_hash: str
    hashes: Sequence[str] = ()
    checkpoint: AuditCheckpoint


class SealedTrail(Record):
    """A part of the trail, event by event with the checkpoints behind them, as muniment.audit.exported
    reads it; `next` is the first of the part behind it."""

    data: Sequence[Mapping[str, JsonValue]] = ()
    next: int | None = None


def get_audit_checkpoint(
    *, size: int | None = None, since: int | None = None
) -> Call[AuditCheckpoint]:
    """The newest one, or that over so many events. With `since`, the proof that the trail of so many events
    is its beginning."""
    return get(f"{_PATH}/checkpoint", AuditCheckpoint, {"size": size, "since": since})


def get_audit_proof(seq: int, *, size: int | None = None) -> Call[AuditProof]:
    return get(f"{_PATH}/proof/{seq}", AuditProof, {"size": size})


def export_audit_trail(
    *, first: int = 0, until: int | None = None, limit: int = MAX_EXPORTED
) -> Call[SealedTrail]:
    """Oldest first, up to the checkpoint over `until` events, else up to the newest."""
    parameters = {"first": first, "until": until, "limit": limit}
    return get(f"{_PATH}/sealed", SealedTrail, parameters)


def erase_audit_details(event_id: Id) -> Call[None]:
    """The payload and the origin of an event that is sealed."""
    return Call("DELETE", f"{_PATH}/{segment(event_id)}/details", read_nothing)


class AuditTrailOperations:
    """`/v1/audit`."""

    checkpoint = Operation(get_audit_checkpoint)
    proof = Operation(get_audit_proof)
    export = Operation(export_audit_trail)
    erase_details = Operation(erase_audit_details)


class AuditTrail(AuditTrailOperations, Resource):
    """`/v1/audit`."""


class AsyncAuditTrail(AuditTrailOperations, AsyncResource):
    """`/v1/audit`."""
