"""Grants: giving, raising and lowering, taking back. In force with the next request."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.collections.service import require_collection
from api.files.service import require_file
from api.grants.schemas import Grant, NewGrant
from api.groups.service import require_group
from api.preconditions import require_match
from api.principals.service import require_principal
from db.audit import record
from db.models import AccessGrant
from db.queries import grants
from db.queries.grants import GrantPair
from muniment.contracts.jobs import FileState
from muniment.errors import Conflict, Gone, NotFound

MANAGE = "manage"


@dataclass(frozen=True)
class Granted:
    """The grant, and whether there was none for its pair before."""

    grant: AccessGrant
    is_new: bool


def grant_view(found: AccessGrant) -> Grant:
    return Grant.model_validate(found, from_attributes=True)


def entity_tag(found: AccessGrant) -> str:
    return tag_of(found.level)


def tag_of(level: str) -> str:
    """The level is all that changes of a grant."""
    return f'"{level}"'


async def require_grant(
    session: AsyncSession, grant_id: UUID, *, for_update: bool = False
) -> AccessGrant:
    found = await grants.get_grant(session, grant_id, for_update=for_update)
    if found is None:
        raise NotFound("there is no such grant")
    return found


async def give(session: AsyncSession, caller: Caller, body: NewGrant) -> Granted:
    """One grant for each pair of who and what: given again it changes nothing, with another level it
    has that one from now on."""
    pair = GrantPair(body.principal_id, body.group_id, body.file_id, body.collection_id)
    # Whoever is deleted is locked before what it owns: so here, too.
    await _require_grantee(session, pair)
    await _require_grantable(session, pair)
    found = await grants.find_pair(session, pair)
    if found is not None and found.level == body.level:
        return Granted(found, is_new=False)
    if found is not None:
        former, found.level = found.level, body.level
        payload: dict[str, JsonValue] = {**_described(found), "former_level": former}
        record(session, caller.act("grant.changed", "grant", found.id, payload))
        return Granted(found, is_new=False)
    made = await grants.add_grant(session, caller.tenant_id, pair, body.level)
    record(session, caller.act("grant.created", "grant", made.id, _described(made)))
    return Granted(made, is_new=True)


async def take_back(
    session: AsyncSession, caller: Caller, if_match: str | None, grant_id: UUID
) -> None:
    """Whatever state its file is in. Raises Forbidden for one that the caller has, but may not take
    from itself or others."""
    found = await require_grant(session, grant_id, for_update=True)
    if found.file_id is not None:
        await require_file(session, found.file_id, MANAGE)
    if found.collection_id is not None:
        await require_collection(session, found.collection_id, MANAGE)
    require_match(if_match, entity_tag(found))
    await session.delete(found)
    record(session, caller.act("grant.deleted", "grant", grant_id, _described(found)))


async def _require_grantable(session: AsyncSession, pair: GrantPair) -> None:
    """Neither is erased or deleted before the end of the transaction."""
    if pair.collection_id is not None:
        await require_collection(session, pair.collection_id, MANAGE, for_update=True)
    if pair.file_id is None:
        return
    detail = await require_file(session, pair.file_id, MANAGE, for_update=True)
    if detail.file.state in (FileState.ERASING, FileState.ERASED):
        raise Gone("the file was erased")
    if detail.file.state == FileState.TRASHED:
        raise Conflict("the file is in the trash", remedy="Restore it first.")


async def _require_grantee(session: AsyncSession, pair: GrantPair) -> None:
    if pair.principal_id is not None:
        await require_principal(session, pair.principal_id, stays=True)
    if pair.group_id is not None:
        await require_group(session, pair.group_id, for_update=True)


def _described(grant: AccessGrant) -> dict[str, JsonValue]:
    described: dict[str, JsonValue] = {"level": grant.level}
    for name in ("principal_id", "group_id", "file_id", "collection_id"):
        if (value := getattr(grant, name)) is not None:
            described[name] = str(value)
    return described
