"""API keys: making and revoking."""

from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.api_keys.schemas import ApiKey, NewApiKey
from api.authentication import Caller
from api.principals.service import require_principal
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
    """The key and its secret; made with a key it ends with that one at the latest. Raises Forbidden
    for a scope that the caller lacks, and for another's key unless the caller is an administrator."""
    if lacking := sorted(set(body.scopes) - caller.scopes):
        raise Forbidden(f"a key cannot give the scope {lacking[0]}, which it lacks itself")
    owner_id = await _owner_id(session, caller, body)
    if body.expires_at is not None and body.expires_at <= now():
        detail = "must lie in the future"
        raise Unprocessable(
            f"expires_at {detail}", errors=[{"field": "expires_at", "detail": detail}]
        )
    ends = [time for time in (body.expires_at, await _own_end(session, caller)) if time is not None]
    made = new_api_key()
    key = ApiKeyRecord(
        tenant_id=caller.tenant_id,
        principal_id=owner_id,
        name=body.name,
        prefix=made.prefix,
        key_hash=made.hash,
        scopes=sorted(set(body.scopes)),
        expires_at=min(ends, default=None),
    )
    session.add(key)
    await session.flush()
    payload: dict[str, JsonValue] = {"scopes": [*key.scopes], "principal_id": str(owner_id)}
    if caller.sign_in_id is not None:
        payload["sign_in_id"] = str(caller.sign_in_id)
    record(session, caller.act("api_key.created", "api_key", key.id, payload))
    return key, made.secret


async def _owner_id(session: AsyncSession, caller: Caller, body: NewApiKey) -> UUID:
    """Whose the key is to be, who is not deleted before the end of the transaction."""
    if body.principal_id is None or body.principal_id == caller.principal_id:
        return caller.principal_id
    if not caller.is_admin:
        raise Forbidden("only an administrator makes keys of other principals")
    return (await require_principal(session, body.principal_id, stays=True)).id


async def _own_end(session: AsyncSession, caller: Caller) -> datetime | None:
    """When the key that the caller came with ends. A sign-in is no such bound, since programs outlast
    it; the audit event names it, so that what a copied token made is found and revoked."""
    if caller.key_id is None:
        return None
    return (await session.get_one(ApiKeyRecord, caller.key_id)).expires_at


async def revoke(session: AsyncSession, caller: Caller, key_id: UUID) -> ApiKeyRecord:
    key = await access.revoke_api_key(session, key_id, principal_id=whose(caller))
    if key is None:
        raise NotFound("there is no such API key")
    record(session, caller.act("api_key.revoked", "api_key", key_id))
    return key
