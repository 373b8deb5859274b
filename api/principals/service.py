"""Principals: making, changing, disabling, deleting."""

from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.preconditions import require_match
from api.principals.schemas import NewPrincipal, Principal, PrincipalChange
from db.audit import record
from db.giving_way import giving_way
from db.models import Principal as PrincipalRecord
from db.models import now
from db.queries import principals
from db.queries.principals import Owned
from db.queries.sign_ins import end_sign_ins
from muniment.api_keys import scopes_of_role
from muniment.errors import Conflict, Forbidden, NotFound, Unprocessable

TAKEN = "another principal has this name"


def principal_view(found: PrincipalRecord) -> Principal:
    return Principal.model_validate(found, from_attributes=True)


def entity_tag(found: PrincipalRecord) -> str:
    return f'"{found.revision}"'


async def require_principal(
    session: AsyncSession, principal_id: UUID, *, for_update: bool = False, stays: bool = False
) -> PrincipalRecord:
    found = await principals.get_principal(
        session, principal_id, for_update=for_update, stays=stays
    )
    if found is None:
        raise NotFound("there is no such principal")
    return found


def require_may_manage(caller: Caller, *, is_admin: bool) -> None:
    """An administrator is managed by administrators alone, with a key or token that has every scope:
    raises Forbidden otherwise. A narrow key of theirs neither locks them out nor lets them in."""
    if not is_admin:
        return
    if not caller.is_admin:
        raise Forbidden("only an administrator manages administrators")
    require_may_empower(caller, is_admin=True)


def require_may_empower(caller: Caller, *, is_admin: bool) -> None:
    """Nobody gives more than it has: raises Forbidden unless the caller is an administrator whose key
    or token has every scope that signing in would give such a principal."""
    if not caller.is_admin:
        raise Forbidden("only an administrator lets others come in")
    if lacking := sorted(scopes_of_role(is_admin=is_admin) - caller.scopes):
        raise Forbidden(
            f"who signs in would have the scope {lacking[0]}, which the caller lacks itself"
        )


async def create(session: AsyncSession, caller: Caller, body: NewPrincipal) -> PrincipalRecord:
    """Raises Conflict when the name is taken, Forbidden for an administrator that the caller may not
    make."""
    if body.is_admin:
        require_may_empower(caller, is_admin=True)
    made = PrincipalRecord(
        tenant_id=caller.tenant_id, kind=body.kind, name=body.name, is_admin=body.is_admin
    )
    session.add(made)
    await _flush_unique(session)
    payload: dict[str, JsonValue] = {"kind": made.kind, "is_admin": made.is_admin}
    record(session, caller.act("principal.created", "principal", made.id, payload))
    return made


async def change(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    principal_id: UUID,
    body: PrincipalChange,
) -> PrincipalRecord:
    """Who is disabled cannot come in from the next request on; its sign-ins end for good, its keys
    work again when it is enabled."""
    administrators = await _lock_if_one_may_go(session, body)
    found = await require_principal(session, principal_id, for_update=True)
    require_match(if_match, entity_tag(found))
    require_may_manage(caller, is_admin=found.is_admin)
    if body.is_admin and not found.is_admin:
        require_may_empower(caller, is_admin=True)
    if administrators is not None and administrators == {found.id}:
        raise _last_administrator()
    found.name = body.name or found.name
    if body.is_admin is not None:
        found.is_admin = body.is_admin
    if body.disabled is not None:
        found.disabled_at = (found.disabled_at or now()) if body.disabled else None
        # By hand from now on: who waited for the tenant's disabling meant more than that.
        found.disabled_with_tenant = False
    found.revision += 1
    await _flush_unique(session)
    if body.disabled:
        await end_sign_ins(session, found.id)
    payload: dict[str, JsonValue] = body.model_dump(
        mode="json", exclude={"name"}, exclude_none=True
    )
    payload["fields"] = [*sorted(body.model_fields_set)]
    record(session, caller.act("principal.changed", "principal", found.id, payload))
    return found


async def _lock_if_one_may_go(session: AsyncSession, body: PrincipalChange) -> set[UUID] | None:
    """The administrators, if the change could end the administration of one."""
    if body.is_admin is False or body.disabled:
        return await principals.lock_administrators(session)
    return None


async def delete(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    principal_id: UUID,
    successor_id: UUID | None,
) -> None:
    """Whoever owns something is deleted with a successor only, whom it goes to."""
    await giving_way(
        session, lambda: _delete(session, caller, if_match, principal_id, successor_id)
    )


async def _delete(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    principal_id: UUID,
    successor_id: UUID | None,
) -> None:
    administrators: set[UUID] = set()
    if await principals.is_administrator(session, principal_id):
        administrators = await principals.lock_administrators(session)
    found = await require_principal(session, principal_id, for_update=True)
    require_match(if_match, entity_tag(found))
    require_may_manage(caller, is_admin=found.is_admin)
    if found.is_admin and found.disabled_at is None and found.id not in administrators:
        raise Conflict("the principal was made an administrator meanwhile", remedy="Try again.")
    if administrators == {found.id}:
        raise _last_administrator()
    owned = await principals.count_owned(session, found.id)
    if successor_id is not None:
        await _hand_over(session, caller, found.id, successor_id)
    elif owned:
        raise _owns(owned)
    await principals.strip(session, found)
    found.revision += 1
    payload: dict[str, JsonValue] = {
        "files": owned.files,
        "collections": owned.collections,
        "batches": owned.batches,
        "successor_id": str(successor_id) if successor_id else None,
    }
    record(session, caller.act("principal.deleted", "principal", found.id, payload))


async def _hand_over(
    session: AsyncSession, caller: Caller, principal_id: UUID, successor_id: UUID
) -> None:
    if not caller.is_admin:
        raise Forbidden("only an administrator hands over what another one owns")
    successor = await principals.get_principal(session, successor_id, stays=True)
    if successor is None or successor.id == principal_id or successor.disabled_at is not None:
        detail = "is no other principal who can come in"
        raise Unprocessable(
            f"the successor {detail}", errors=[{"field": "successor", "detail": detail}]
        )
    await principals.hand_over(session, principal_id, successor_id)


def _last_administrator() -> Conflict:
    return Conflict(
        "the tenant would have no administrator who can come in",
        remedy="Make another principal an administrator first.",
    )


def _owns(owned: Owned) -> Conflict:
    return Conflict(
        f"the principal owns {owned.files} files, {owned.collections} collections and"
        f" {owned.batches} unfinished batches",
        remedy="Name a `successor` whom they go to, erase them, or only disable the principal.",
    )


async def _flush_unique(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(TAKEN) from error
