"""`/v1/legal-holds`: matters under which nothing is changed or erased."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from muniment.client.models import Record


class HoldItem(Record):
    """`terms` are those of a query or a subject."""

    id: UUID
    kind: str
    file_id: UUID | None = None
    collection_id: UUID | None = None
    terms: Mapping[str, JsonValue] | None = None
    created_at: datetime


class Custodian(Record):
    principal_id: UUID
    notified_at: datetime | None = None
    reminded_at: datetime | None = None
    reminders: int = 0
    acknowledged_at: datetime | None = None
