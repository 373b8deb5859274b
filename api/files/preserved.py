"""The one refusal to change or delete what must be kept: every door for callers asks here."""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from db.audit import record
from db.models import now
from db.queries.preservation import keeps_collection, keeps_what_is_read, standing_preservations
from db.queries.preservation_kinds import GuardedAct, Preservation, PreservationKind
from db.queries.retention import LOCKS, UNTOUCHED, Judgement, judge
from muniment.errors import Forbidden, Preserved

_SAID = {
    PreservationKind.HOLD: "under a legal hold",
    PreservationKind.COMPLIANCE_LOCK: "under a compliance lock",
    PreservationKind.RETENTION: "kept by a retention policy",
    PreservationKind.GOVERNANCE_LOCK: "under a governance lock",
}


async def require_changeable(session: AsyncSession, file_ids: Sequence[UUID]) -> None:
    """In the transaction that changes them, or has them read anew. Raises Preserved."""
    await _require(session, file_ids, GuardedAct.CHANGE)


async def require_replaceable(session: AsyncSession, file_id: UUID) -> None:
    """In the transaction that adds a version. Raises Preserved."""
    await _require(session, [file_id], GuardedAct.NEW_VERSION)


async def require_deletable(session: AsyncSession, file_ids: Sequence[UUID]) -> None:
    """In the transaction that trashes or erases them. Raises Preserved."""
    await _require(session, file_ids, GuardedAct.DELETION)


async def _require(session: AsyncSession, file_ids: Sequence[UUID], act: GuardedAct) -> None:
    """Raises Preserved, which names what kinds of things keep them, what goes before the others first, and
    never the matters."""
    found = await standing_preservations(session, file_ids, act)
    if kinds := kinds_of(kept for each in found.values() for kept in each):
        what = "the file is" if len(file_ids) == 1 else "the file, or one that came out of it, is"
        raise Preserved(f"{what} {' and '.join(_SAID[kind] for kind in kinds)}")


async def require_readable_anew(session: AsyncSession, file_id: UUID) -> None:
    """For a job that reads it, perhaps for the first time: then nothing keeps from it. The file's row is
    locked. Raises Preserved."""
    if await keeps_what_is_read(session, file_id):
        await require_changeable(session, [file_id])


async def require_deletable_collection(session: AsyncSession, collection_id: UUID) -> None:
    """Raises Preserved while a hold or a policy names the collection: also an empty one, into which files
    may come."""
    if kind := await keeps_collection(session, collection_id):
        raise Preserved(f"the collection is {_SAID[kind]}")


async def locks_of(session: AsyncSession, file_id: UUID) -> Judgement:
    """What is to be given to `require_as_locked` behind a change of the file."""
    return (await judge(session, [file_id], now())).get(file_id, UNTOUCHED)


async def require_as_locked(
    session: AsyncSession, caller: Caller, file_id: UUID, before: Judgement
) -> None:
    """A change of what policies go by (labels, metadata, collection) takes a file from under no lock and
    ends none earlier. An event's date that was not set may be set by whoever manages retention, since it
    gives the lock an end. Raises Preserved, Forbidden."""
    former = Counter(before.claims)
    present = Counter((await locks_of(session, file_id)).claims)
    # One policy may reach a file itself and through what it came out of: only what differs is compared.
    ends = {each.reference: each.until for each in present - former}
    moment = now()
    for lock in former - present:
        if lock.kind not in LOCKS or (lock.until is not None and lock.until <= moment):
            continue
        end = ends.get(lock.reference)
        is_shorter = lock.until is not None and (end is None or end < lock.until)
        if lock.reference not in ends or is_shorter:
            raise Preserved(
                f"the file is {_SAID[lock.kind]}, which the change would end or shorten"
            )
        if lock.until is None and end is not None:
            if "retention:manage" not in caller.scopes:
                raise Forbidden(
                    f"the file is {_SAID[lock.kind]}, to which the change would give an end",
                    remedy="Have it made with the scope retention:manage.",
                )
            ended = {"policy_id": str(lock.reference), "retain_until": end.isoformat()}
            record(session, caller.act("retention.event_dated", "file", file_id, ended))


def kinds_of(kept: Iterable[Preservation]) -> list[PreservationKind]:
    """Each once, in their order of precedence."""
    present = {each.kind for each in kept}
    return [kind for kind in PreservationKind if kind in present]
