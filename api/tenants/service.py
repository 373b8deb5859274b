"""Tenants: making one with its first administrator, disabling and enabling it."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.preconditions import require_match
from api.tenants.schemas import CreatedTenant, FirstAdministrator, NewTenant, Tenant
from db.audit import Act, record
from db.models import ApiKey, Collection, Principal, new_id
from db.queries import tenants
from db.queries.tenants import FoundTenant
from db.session import Access, act_for
from muniment.api_keys import ALL_SCOPES, new_api_key
from muniment.errors import Conflict, Forbidden, NotFound
from muniment.telemetry import context

DEFAULT_COLLECTION = "default"
"""Where files go that name no collection: every tenant has it from its beginning (db.bootstrap)."""


def tenant_view(found: FoundTenant) -> Tenant:
    return Tenant.model_validate(found, from_attributes=True)


def entity_tag(found: FoundTenant) -> str:
    return f'"{found.revision}"'


async def is_operator(session: AsyncSession, caller: Caller) -> bool:
    """Whether the caller is an administrator of a tenant that operates."""
    return caller.is_admin and await tenants.operates(session)


async def require_operator(session: AsyncSession, caller: Caller) -> None:
    """Raises Forbidden but for an operator."""
    if not await is_operator(session, caller):
        raise Forbidden("only an administrator of the tenant that operates manages tenants")


async def require_tenant(
    session: AsyncSession, caller: Caller, tenant_id: UUID, *, for_update: bool = False
) -> FoundTenant:
    """Raises NotFound, for whoever may not know of it as well."""
    find = tenants.lock_tenant if for_update else tenants.find_tenant
    found = await find(session, tenant_id) if caller.is_admin else None
    if found is None:
        raise NotFound("there is no such tenant")
    return found


async def create(session: AsyncSession, caller: Caller, body: NewTenant) -> CreatedTenant:
    """With its default collection, and an administrator with a key. Raises Conflict for a name that is
    taken, and Forbidden: nobody gives more than it has."""
    await require_operator(session, caller)
    if lacking := sorted(set(ALL_SCOPES) - caller.scopes):
        raise Forbidden(f"the first key would have the scope {lacking[0]}, which yours lacks")
    made = await tenants.add_tenant(session, new_id(), body.name)
    if made is None:
        raise Conflict("another tenant has this name")
    record(session, caller.act("tenant.created", "tenant", made.id))
    await session.flush()
    administrator = await _furnish(session, made, body)
    # What follows in this transaction is the operator's again.
    await act_for(session, caller.access)
    return CreatedTenant(**tenant_view(made).model_dump(), administrator=administrator)


async def _furnish(session: AsyncSession, made: FoundTenant, body: NewTenant) -> FirstAdministrator:
    """On behalf of the new tenant, whose audit trail begins with this."""
    await act_for(session, Access(made.id))
    session.add(Collection(tenant_id=made.id, name=DEFAULT_COLLECTION))
    administrator = Principal(
        tenant_id=made.id, kind="service", name=body.administrator, is_admin=True
    )
    session.add(administrator)
    await session.flush()
    key = new_api_key()
    session.add(
        ApiKey(
            tenant_id=made.id,
            principal_id=administrator.id,
            name="first",
            prefix=key.prefix,
            key_hash=key.hash,
            scopes=list(ALL_SCOPES),
        )
    )
    record(session, _by_operator("tenant.created", made.id))
    await session.flush()
    return FirstAdministrator(id=administrator.id, name=administrator.name, api_key=key.secret)


async def change(
    session: AsyncSession, caller: Caller, if_match: str | None, tenant_id: UUID, *, disabled: bool
) -> FoundTenant:
    """Raises Conflict for a tenant that operates: nobody could enable it again."""
    found = await require_tenant(session, caller, tenant_id, for_update=True)
    require_match(if_match, entity_tag(found))
    if found.is_operator:
        raise Conflict("a tenant that operates is not disabled")
    if disabled == (found.disabled_at is not None):
        return found
    await tenants.set_disabled(session, found.id, disabled=disabled)
    action = "tenant.disabled" if disabled else "tenant.enabled"
    record(session, caller.act(action, "tenant", found.id))
    await session.flush()
    await act_for(session, Access(found.id))
    record(session, _by_operator(action, found.id))
    await session.flush()
    await act_for(session, caller.access)
    return await require_tenant(session, caller, tenant_id)


def _by_operator(action: str, tenant_id: UUID) -> Act:
    """In the tenant's own trail, which names nobody of another tenant."""
    return Act(
        action=action,
        object_type="tenant",
        object_id=tenant_id,
        tenant_id=tenant_id,
        request_id=context.request_id(),
    )
