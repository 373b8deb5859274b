"""Groups: making, renaming, deleting, and who belongs to them."""

from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.groups.schemas import Group, GroupChange, NewGroup
from api.preconditions import require_match
from api.principals.service import require_principal
from db.audit import record
from db.models import PrincipalGroup
from db.queries import principals
from muniment.errors import Conflict, NotFound

TAKEN = "another group has this name"


def group_view(found: PrincipalGroup) -> Group:
    return Group.model_validate(found, from_attributes=True)


def entity_tag(found: PrincipalGroup) -> str:
    return f'"{found.revision}"'


async def require_group(
    session: AsyncSession, group_id: UUID, *, for_update: bool = False
) -> PrincipalGroup:
    found = await principals.get_group(session, group_id, for_update=for_update)
    if found is None:
        raise NotFound("there is no such group")
    return found


async def create(session: AsyncSession, caller: Caller, body: NewGroup) -> PrincipalGroup:
    """Raises Conflict when the name is taken."""
    made = PrincipalGroup(tenant_id=caller.tenant_id, name=body.name)
    session.add(made)
    await _flush_unique(session)
    record(session, caller.act("group.created", "group", made.id))
    return made


async def change(
    session: AsyncSession, caller: Caller, if_match: str | None, group_id: UUID, body: GroupChange
) -> PrincipalGroup:
    found = await require_group(session, group_id, for_update=True)
    require_match(if_match, entity_tag(found))
    found.name = body.name
    found.revision += 1
    await _flush_unique(session)
    record(session, caller.act("group.changed", "group", group_id, {"fields": ["name"]}))
    return found


async def delete(
    session: AsyncSession, caller: Caller, if_match: str | None, group_id: UUID
) -> None:
    """With what was granted to it."""
    found = await require_group(session, group_id, for_update=True)
    require_match(if_match, entity_tag(found))
    await session.delete(found)
    record(session, caller.act("group.deleted", "group", group_id))


async def add_member(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    group_id: UUID,
    principal_id: UUID,
) -> None:
    """A member stays one."""
    found = await require_group(session, group_id, for_update=True)
    require_match(if_match, entity_tag(found))
    await require_principal(session, principal_id, stays=True)
    if await principals.add_member(session, caller.tenant_id, group_id, principal_id):
        payload = {"principal_id": str(principal_id)}
        record(session, caller.act("group.member_added", "group", group_id, payload))


async def remove_member(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    group_id: UUID,
    principal_id: UUID,
) -> None:
    """Raises NotFound for a principal that is no member."""
    found = await require_group(session, group_id, for_update=if_match is not None)
    require_match(if_match, entity_tag(found))
    if not await principals.remove_member(session, group_id, principal_id):
        raise NotFound("the group has no such member")
    payload = {"principal_id": str(principal_id)}
    record(session, caller.act("group.member_removed", "group", group_id, payload))


async def _flush_unique(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(TAKEN) from error
