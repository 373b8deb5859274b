"""The one refusal to change or delete what must be kept: every door for callers asks here."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.preservation import (
    Preservation,
    PreservationKind,
    is_collection_held,
    standing_preservations,
)
from muniment.errors import Preserved

_SAID = {
    PreservationKind.HOLD: "under a legal hold",
    PreservationKind.COMPLIANCE_LOCK: "under a compliance lock",
    PreservationKind.RETENTION: "kept by a retention policy",
    PreservationKind.GOVERNANCE_LOCK: "under a governance lock",
}


async def require_changeable(session: AsyncSession, file_ids: Sequence[UUID]) -> None:
    """In the transaction that changes or deletes them. Raises Preserved, which names what kinds of things
    keep them and never the matters."""
    found = await standing_preservations(session, file_ids)
    if kinds := kinds_of(kept for each in found.values() for kept in each):
        what = "the file is" if len(file_ids) == 1 else "the file, or one that came out of it, is"
        raise Preserved(f"{what} {' and '.join(_SAID[kind] for kind in kinds)}")


async def require_deletable_collection(session: AsyncSession, collection_id: UUID) -> None:
    """Raises Preserved while a hold names the collection: also an empty one, into which files may come."""
    if await is_collection_held(session, collection_id):
        raise Preserved(f"the collection is {_SAID[PreservationKind.HOLD]}")


def kinds_of(kept: Iterable[Preservation]) -> list[PreservationKind]:
    """Each once, in their order of precedence."""
    present = {each.kind for each in kept}
    return [kind for kind in PreservationKind if kind in present]
