"""API keys: making and revoking."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.api_keys.schemas import ApiKey, NewApiKey
from api.authentication import Caller
from db.audit import record
from db.models import ApiKey as ApiKeyRecord
from db.models import now
from db.queries import access
from muniment.api_keys import new_api_key
from muniment.errors import Forbidden, NotFound, Unprocessable


def api_key_view(found: ApiKeyRecord) -> ApiKey:
    return ApiKey.model_validate(found, from_attributes=True)


def whose(caller: Caller) -> UUID | None:
    """Whose keys the caller manages: its own, or (None) everyone's of the tenant."""
    return None if caller.is_admin else caller.principal_id


async def create(
    session: AsyncSession, caller: Caller, body: NewApiKey
) -> tuple[ApiKeyRecord, str]:
    """The key and its secret; it ends with the caller's own key at the latest. Raises Forbidden for
    a scope that the caller's own key lacks."""
    if lacking := sorted(set(body.scopes) - caller.scopes):
        raise Forbidden(f"a key cannot give the scope {lacking[0]}, which it lacks itself")
    if body.expires_at is not None and body.expires_at <= now():
        detail = "must lie in the future"
        raise Unprocessable(
            f"expires_at {detail}", errors=[{"field": "expires_at", "detail": detail}]
        )
    own = await session.get_one(ApiKeyRecord, caller.key_id)
    ends = [time for time in (body.expires_at, own.expires_at) if time is not None]
    made = new_api_key()
    key = ApiKeyRecord(
        tenant_id=caller.tenant_id,
        principal_id=caller.principal_id,
        name=body.name,
        prefix=made.prefix,
        key_hash=made.hash,
        scopes=sorted(set(body.scopes)),
        expires_at=min(ends, default=None),
    )
    session.add(key)
    await session.flush()
    record(session, caller.act("api_key.created", "api_key", key.id, {"scopes": [*key.scopes]}))
    return key, made.secret


async def revoke(session: AsyncSession, caller: Caller, key_id: UUID) -> ApiKeyRecord:
    key = await access.revoke_api_key(session, key_id, principal_id=whose(caller))
    if key is None:
        raise NotFound("there is no such API key")
    record(session, caller.act("api_key.revoked", "api_key", key_id))
    return key
