"""Retention policies and locks: made, made longer, and shortened by whoever may."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.service import require_file
from api.preconditions import require_match
from api.retention.schemas import (
    ChangedPolicy,
    FileRetention,
    NewPolicy,
    Policy,
    WantedLock,
)
from db.audit import record
from db.models import Collection, RetentionLock, RetentionPolicy, now
from db.queries import retention
from db.queries.erasure_records import is_past_return
from db.queries.preservation import UNKEPT, keepings, lock_holds
from db.queries.retention import MAX_POLICIES
from muniment.contracts.jobs import FileState
from muniment.contracts.retention import LockMode
from muniment.errors import (
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    Preserved,
    Unprocessable,
    WrongField,
)

BYPASS_HEADER = "Muniment-Bypass-Governance"
_MODES: Sequence[str | None] = (None, *LockMode)
"""The weakest first."""
_SCOPE = ("collection_id", "media_type", "label", "trigger", "event_field")


@dataclass(frozen=True)
class Bypass:
    """Whether the caller asked to get past governance locks, and why."""

    is_wanted: bool
    reason: str | None


async def add_policy(session: AsyncSession, caller: Caller, wanted: NewPolicy) -> Policy:
    """With this commit it keeps what fits it. Raises Conflict where the tenant has too many."""
    await lock_holds(session)
    if await retention.count_policies(session) >= MAX_POLICIES:
        raise Conflict(
            f"a tenant has at most {MAX_POLICIES} retention policies",
            remedy="End one that is needed no more, or widen one.",
        )
    await _require_collection(session, wanted)
    policy = RetentionPolicy(
        tenant_id=caller.tenant_id,
        name=wanted.name,
        trigger=wanted.trigger,
        days=wanted.days,
        disposition=wanted.disposition,
        created_by=caller.principal_id,
    )
    _write(policy, wanted)
    session.add(policy)
    await session.flush()
    _record(session, caller, "retention_policy.created", policy)
    return Policy.of(policy)


async def change_policy(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    policy_id: UUID,
    wanted: ChangedPolicy,
    bypass: Bypass,
) -> RetentionPolicy:
    """Raises NotFound, Conflict (ended), PreconditionFailed, Preserved, Forbidden and Unprocessable."""
    await lock_holds(session)
    policy = await _require_standing(session, policy_id)
    require_match(if_match, entity_tag(policy))
    if wanted.collection_id != policy.collection_id:
        await _require_collection(session, wanted)
    if _is_weaker(policy, wanted):
        _require_weakened(session, caller, policy, bypass)
    _write(policy, wanted)
    policy.revision += 1
    policy.updated_at = now()
    await session.flush()
    _record(session, caller, "retention_policy.changed", policy)
    return policy


async def end_policy(
    session: AsyncSession, caller: Caller, policy_id: UUID, bypass: Bypass
) -> RetentionPolicy:
    """From this commit on it keeps nothing; ending it again changes nothing."""
    await lock_holds(session)
    policy = await require_policy(session, policy_id, for_update=True)
    if policy.ended_at is None:
        _require_weakened(session, caller, policy, bypass)
        policy.ended_at = policy.updated_at = now()
        policy.ended_by = caller.principal_id
        policy.revision += 1
        await session.flush()
        _record(session, caller, "retention_policy.ended", policy)
    return policy


async def require_policy(
    session: AsyncSession, policy_id: UUID, *, for_update: bool = False
) -> RetentionPolicy:
    found = await retention.get_policy(session, policy_id, for_update=for_update)
    if found is None:
        raise NotFound("there is no such retention policy")
    return found


def entity_tag(policy: RetentionPolicy) -> str:
    return f'"{policy.revision}"'


async def set_lock(
    session: AsyncSession, caller: Caller, file_id: UUID, wanted: WantedLock, bypass: Bypass
) -> None:
    """With this commit nobody deletes the file before that time. Raises NotFound, Gone, Conflict (past an
    erasure's point of no return), Preserved, Forbidden and Unprocessable."""
    await lock_holds(session)
    detail = await require_file(session, file_id)
    if detail.file.state == FileState.ERASED:
        raise Gone("the file was erased")
    if await is_past_return(session, file_id):
        raise Conflict("the file is being erased")
    if wanted.is_too_long:
        raise _wrong("retain_until", "that is too long")
    lock = await retention.get_lock(session, file_id)
    moment = now()
    if lock is not None and lock.retain_until > moment:
        _require_longer(session, caller, lock, wanted, bypass)
    elif wanted.retain_until <= moment:
        raise _wrong("retain_until", "that time has passed")
    if lock is None:
        lock = RetentionLock(
            file_id=file_id,
            tenant_id=caller.tenant_id,
            mode=wanted.mode,
            retain_until=wanted.retain_until,
            placed_by=caller.principal_id,
        )
        session.add(lock)
    lock.mode, lock.retain_until = wanted.mode, wanted.retain_until
    lock.placed_by, lock.updated_at = caller.principal_id, moment
    await session.flush()
    payload: dict[str, JsonValue] = {
        "mode": wanted.mode.value,
        "retain_until": wanted.retain_until.isoformat(),
    }
    record(session, caller.act("file.retention_locked", "file", file_id, payload))


async def show(session: AsyncSession, file_id: UUID, as_of: datetime | None) -> FileRetention:
    """Without a time as of now."""
    await require_file(session, file_id)
    moment = as_of or now()
    kept = await keepings(session, [file_id], moment)
    lock = await retention.get_lock(session, file_id)
    return FileRetention.of(kept.get(file_id, UNKEPT), lock, moment)


def _require_longer(
    session: AsyncSession,
    caller: Caller,
    lock: RetentionLock,
    wanted: WantedLock,
    bypass: Bypass,
) -> None:
    is_shorter = wanted.retain_until < lock.retain_until
    if lock.mode == LockMode.COMPLIANCE:
        if is_shorter or wanted.mode is not LockMode.COMPLIANCE:
            raise _unmoved()
    elif is_shorter:
        _require_bypass(caller, bypass)
        _record_bypass(session, caller, "file", lock.file_id, bypass)


def _require_weakened(
    session: AsyncSession, caller: Caller, policy: RetentionPolicy, bypass: Bypass
) -> None:
    if policy.lock_mode == LockMode.COMPLIANCE:
        raise _unmoved()
    if policy.lock_mode == LockMode.GOVERNANCE:
        _require_bypass(caller, bypass)
        _record_bypass(session, caller, "retention_policy", policy.id, bypass)


def _require_bypass(caller: Caller, bypass: Bypass) -> None:
    """A right, a header and a reason."""
    if not bypass.is_wanted:
        raise Preserved(
            "this would end or shorten a governance lock",
            remedy=f"Send the header `{BYPASS_HEADER}: true` and a reason; it takes the scope"
            " `retention:bypass`.",
        )
    if "retention:bypass" not in caller.scopes:
        raise Forbidden(
            "the key lacks the scope retention:bypass",
            remedy="Ask somebody who may bypass governance locks.",
        )
    if bypass.reason is None:
        raise _wrong("reason", "whoever bypasses a governance lock says why")


def _record_bypass(
    session: AsyncSession, caller: Caller, kind: str, id_: UUID, bypass: Bypass
) -> None:
    payload: dict[str, JsonValue] = {"reason": bypass.reason}
    record(session, caller.act("retention.governance_bypassed", kind, id_, payload))


def _is_weaker(policy: RetentionPolicy, wanted: NewPolicy) -> bool:
    """Whether it may keep some file for less long than it does, or under a weaker lock."""
    is_other = any(getattr(policy, name) != getattr(wanted, name) for name in _SCOPE)
    return (
        is_other
        or policy.attributes != wanted.metadata
        or wanted.days < policy.days
        or _MODES.index(wanted.lock_mode) < _MODES.index(policy.lock_mode)
    )


def _write(policy: RetentionPolicy, wanted: NewPolicy) -> None:
    policy.attributes = wanted.metadata
    for name, value in wanted.model_dump(exclude={"metadata", "reason"}).items():
        setattr(policy, name, value)


async def _require_standing(session: AsyncSession, policy_id: UUID) -> RetentionPolicy:
    policy = await require_policy(session, policy_id, for_update=True)
    if policy.ended_at is not None:
        raise Conflict("the policy was ended", remedy="Make another one.")
    return policy


async def _require_collection(session: AsyncSession, wanted: NewPolicy) -> None:
    """Of the tenant, whoever else may see it: a policy reaches whatever there is."""
    if wanted.collection_id is None:
        return
    if await session.get(Collection, wanted.collection_id) is None:
        raise _wrong("collection_id", "there is no such collection")


def _record(session: AsyncSession, caller: Caller, action: str, policy: RetentionPolicy) -> None:
    payload: dict[str, JsonValue] = {
        "days": policy.days,
        "lock_mode": policy.lock_mode,
        "disposition": policy.disposition,
        "revision": policy.revision,
    }
    record(session, caller.act(action, "retention_policy", policy.id, payload))


def _unmoved() -> Preserved:
    return Preserved(
        "a compliance lock is only ever made longer",
        remedy="Nobody shortens it: wait until it ends.",
    )


def _wrong(field: str, detail: str) -> Unprocessable:
    return Unprocessable(detail, errors=[WrongField(field=field, detail=detail)])
