"""Tickets for browsers, whose EventSource can send no Authorization: one minute, one stream."""

import hashlib
import secrets
from datetime import timedelta

from fastapi import Request
from pydantic import BaseModel

from api.authentication import Caller, Credentials, RequireScope, caller_of
from api.services import Provided, Services
from api.times import UtcTime
from db.audit import record
from db.models import StreamTicket as TicketRecord
from db.models import now
from db.queries import access
from muniment.errors import Forbidden, Unauthenticated

LIFETIME = timedelta(seconds=60)
PARAMETER = "ticket"


class StreamTicket(BaseModel):
    """Append it to the stream's address as `?ticket=`."""

    ticket: str
    expires_at: UtcTime


class RequireScopeOrTicket(RequireScope):
    """The caller by its key or token, or by a ticket that was got with one. A ticket is used up by
    this."""

    async def __call__(
        self, request: Request, services: Provided, credentials: Credentials
    ) -> Caller:
        ticket = request.query_params.get(PARAMETER)
        if ticket is None:
            return await super().__call__(request, services, credentials)
        async with services.database.across_tenants() as session:
            found = await access.use_stream_ticket(session, _hash(ticket))
        if found is None:
            raise Unauthenticated("the ticket is unknown, used or past its minute")
        if self.scope not in found.scopes:
            raise Forbidden(f"what the ticket was got with lacks the scope {self.scope}")
        return caller_of(found)


def require_or_ticket(scope: str) -> RequireScopeOrTicket:
    return RequireScopeOrTicket(scope)


async def issue(services: Services, caller: Caller) -> StreamTicket:
    secret = secrets.token_urlsafe(32)
    expires_at = now() + LIFETIME
    is_stored = caller.key_id is not None or caller.sign_in_id is not None
    async with services.database.transaction(caller.access) as session:
        await access.forget_stream_tickets(session)
        session.add(
            TicketRecord(
                ticket_hash=_hash(secret),
                tenant_id=caller.tenant_id,
                key_id=caller.key_id,
                sign_in_id=caller.sign_in_id,
                principal_id=None if is_stored else caller.principal_id,
                scopes=None if is_stored else sorted(caller.scopes),
                ends_at=caller.ends_at,
                identity_hash=caller.identity_hash,
                expires_at=expires_at,
            )
        )
        record(session, caller.act("stream_ticket.issued", *caller.came_with))
    return StreamTicket(ticket=secret, expires_at=expires_at)


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()
