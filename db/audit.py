"""The audit trail: every act writes its event in its own transaction, and what readers of a file care
for stands in the activity feed with it."""

import os
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from db.activity_feed import entries
from db.models import AuditEvent, now
from muniment.telemetry import context
from muniment.telemetry.origin import origin

_SALT_BYTES = 16


@dataclass(frozen=True)
class Act:
    """What is done to what, by whom. The payload holds ids, counts and settings, never content.
    `is_visitor`: by somebody without a key, who has a share link."""

    action: str
    object_type: str
    object_id: UUID | None
    tenant_id: UUID
    actor_id: UUID | None = None
    is_visitor: bool = False
    request_id: str | None = None
    payload: dict[str, JsonValue] = field(default_factory=dict)

    @property
    def actor_kind(self) -> str:
        if self.is_visitor:
            return "visitor"
        return "system" if self.actor_id is None else "principal"


def record(session: AsyncSession, act: Act) -> None:
    """Adds the act's event, and its entries in the activity feed, to the session's transaction. What it
    comes from (the request, the workflow, the caller's address) is what is bound where it is recorded."""
    moment = now()
    session.add_all(entries(act, moment))
    session.add(
        AuditEvent(
            tenant_id=act.tenant_id,
            at=moment,
            actor_id=act.actor_id,
            actor_kind=act.actor_kind,
            action=act.action,
            object_type=act.object_type,
            object_id=act.object_id,
            request_id=act.request_id or context.request_id(),
            workflow_id=context.workflow_id(),
            origin=origin(),
            payload=act.payload,
            salt=os.urandom(_SALT_BYTES),
        )
    )
