"""An export of a tenant's trail: JSON lines, each an event as it was sealed or a checkpoint over those before
it, in order. `docs/audit.md` shows one; `GET /v1/audit/sealed` hands out the same."""

import base64
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
)

from muniment.audit.leaves import Leaf, written_time


def _decoded(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return base64.b64decode(str(value), validate=True)


Base64 = Annotated[
    bytes,
    PlainValidator(_decoded, json_schema_input_type=str),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str),
]
"""Bytes, which JSON has in base64."""
LeafTime = Annotated[AwareDatetime, PlainSerializer(written_time, return_type=str)]


class ExportedEvent(BaseModel):
    """An event at its place. `leaf_hash` and `commitment` are as they were kept when it was sealed; without
    `salt` its details (`origin` and `payload`) were erased. `is_removed`: it was sealed and is not there."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    kind: Literal["event"] = "event"
    seq: Annotated[int, Field(ge=0)]
    id: UUID
    leaf_hash: Base64
    commitment: Base64
    is_removed: bool = False
    tenant_id: UUID
    at: LeafTime | None = None
    actor_id: UUID | None = None
    actor_kind: str = ""
    action: str = ""
    object_type: str = ""
    object_id: UUID | None = None
    request_id: str | None = None
    workflow_id: str | None = None
    origin: str | None = None
    payload: dict[str, JsonValue] | None = None
    salt: Base64 | None = None

    def leaf(self) -> Leaf | None:
        """What was sealed, by what the event says now; None for one that was removed."""
        if self.is_removed or self.at is None:
            return None
        return Leaf(
            seq=self.seq,
            event_id=self.id,
            tenant_id=self.tenant_id,
            at=self.at,
            actor_id=self.actor_id,
            actor_kind=self.actor_kind,
            action=self.action,
            object_type=self.object_type,
            object_id=self.object_id,
            request_id=self.request_id,
            workflow_id=self.workflow_id,
            commitment=self.commitment,
        )


class ExportedCheckpoint(BaseModel):
    """A signed checkpoint over the events before it."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    kind: Literal["checkpoint"] = "checkpoint"
    note: str


class UnplacedEvent(BaseModel):
    """An event that has no place, and waits for none: nobody recorded it as events are recorded. Or,
    `is_removed`, one that was recorded, and was taken away before it had its place."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    kind: Literal["unplaced"] = "unplaced"
    id: UUID
    is_removed: bool = False


AnyLine = ExportedEvent | ExportedCheckpoint | UnplacedEvent
ExportedLine = Annotated[AnyLine, Field(discriminator="kind")]
LINES: TypeAdapter[AnyLine] = TypeAdapter(ExportedLine)
