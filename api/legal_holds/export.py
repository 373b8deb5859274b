"""What a court is given: a matter's events, and those of its files since it was placed, from the audit
trail. JSON lines, in the order in which things happened."""

from collections.abc import AsyncGenerator
from uuid import UUID

from api.authentication import Caller
from api.legal_holds.schemas import MatterEvent
from api.services import Services
from db.queries import legal_holds

MEDIA_TYPE = "application/x-ndjson"
EVENTS_AT_ONCE = 500


async def exported(
    services: Services, caller: Caller, hold_id: UUID
) -> AsyncGenerator[bytes, None]:
    after: UUID | None = None
    while True:
        async with services.database.transaction(caller.access) as session:
            rows = await legal_holds.events_of(session, hold_id, after, EVENTS_AT_ONCE)
        if not rows:
            return
        for row in rows:
            event = MatterEvent.model_validate(row, from_attributes=True)
            yield event.model_dump_json().encode() + b"\n"
        after = rows[-1].id
