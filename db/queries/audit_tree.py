"""The audit trail's tree: sealing what was committed, and the hashes that proofs are made of.

Sealing takes what a trigger queued in the transaction of the act, in the order of the events' ids, which is
that of their times. Who commits late is sealed late: nothing is passed over, as it would be by whoever
remembers the last number that it has seen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditUnsealed
from muniment.audit.leaves import Leaf, commitment_to
from muniment.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    Range,
    Subtree,
    complete_subtrees,
    joined,
    leaf_hash,
    node_hash,
)
from muniment.errors import AuditTampered

TILE_LEVELS = 8
"""Subtrees are kept whose level is a multiple of this: of 256, 65,536, … leaves."""


MOST_REMOVED = 100
"""One is enough to say that somebody was there."""


@dataclass(frozen=True)
class SealedTree:
    """The tree after a batch: `sealed` leaves came to it. There are fewer than were asked for where the
    queue holds no more."""

    sealed: int
    size: int
    root: bytes


@dataclass(frozen=True)
class UnsealedEvents:
    """What is yet to be sealed, of all tenants; `oldest_at`: since when it waits."""

    events: int
    oldest_at: datetime | None


async def tenants_with_unsealed(
    session: AsyncSession, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """By id, behind `after`. Needs no tenant."""
    rows = await session.execute(
        text("SELECT * FROM tenants_with_unsealed_audit(:after, :limit)"),
        {"after": after, "limit": limit},
    )
    return rows.scalars().all()


async def tenants_with_uncopied(
    session: AsyncSession, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """Those of whose checkpoints some lie in no second place, by id, behind `after`. Needs no tenant."""
    rows = await session.execute(
        text("SELECT * FROM tenants_with_uncopied_audit(:after, :limit)"),
        {"after": after, "limit": limit},
    )
    return rows.scalars().all()


async def unsealed_events(session: AsyncSession) -> UnsealedEvents:
    """Needs no tenant."""
    rows = await session.execute(text("SELECT events, oldest_at FROM unsealed_audit()"))
    return UnsealedEvents(**rows.mappings().one())


async def take_turn(session: AsyncSession, tenant_id: UUID) -> bool:
    """Whether nobody else seals the tenant's trail until the end of the transaction. Ask before anything of
    the trail is read: what the one before committed is seen by the statements after this."""
    found = await session.execute(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended('audit ' || :tenant_id, 0))"),
        {"tenant_id": str(tenant_id)},
    )
    return bool(found.scalar_one())


async def newest_checkpoint(session: AsyncSession) -> AuditCheckpoint | None:
    statement = select(AuditCheckpoint).order_by(col(AuditCheckpoint.size).desc()).limit(1)
    return (await session.scalars(statement)).one_or_none()


async def seal_queued(
    session: AsyncSession, tenant_id: UUID, former: AuditCheckpoint | None, limit: int
) -> SealedTree:
    """Gives up to `limit` queued events their places behind the former checkpoint's. Raises AuditTampered
    where what is kept of the tree no longer has that checkpoint's root, or has leaves behind it: nothing is
    built on it."""
    size = 0 if former is None else former.size
    subtrees: list[tuple[Subtree, bytes]] = []

    def keep(subtree: Subtree, root: bytes) -> None:
        if subtree.level % TILE_LEVELS == 0:
            subtrees.append((subtree, root))

    parts = complete_subtrees((0, size))
    kept = await subtree_hashes(session, parts)
    frontier = Frontier(size, [kept[part] for part in parts], keep)
    if frontier.root() != (EMPTY_ROOT if former is None else former.root):
        raise AuditTampered("the leaves that are kept do not have the root that was signed")
    if await _has_leaf_from(session, size):
        raise AuditTampered("there are leaves that no checkpoint covers")
    leaves = _leaves(await _queued(session, tenant_id, limit), size)
    hashes = [leaf_hash(leaf.canonical()) for leaf in leaves]
    for each in hashes:
        frontier.append(each)
    try:
        await _add_leaves(session, tenant_id, leaves, hashes)
        await _add_subtrees(session, tenant_id, subtrees)
    except IntegrityError as error:
        raise AuditTampered("there is something already where the next leaves belong") from error
    return SealedTree(len(leaves), frontier.size, frontier.root())


async def _has_leaf_from(session: AsyncSession, seq: int) -> bool:
    found = await session.scalars(
        select(col(AuditLeaf.seq)).where(col(AuditLeaf.seq) >= seq).limit(1)
    )
    return found.first() is not None


async def removed_unsealed(session: AsyncSession) -> Sequence[UUID]:
    """Queued events that are not there: somebody took them away before they were sealed. Some hundred at
    most."""
    rows = await session.execute(
        text(
            "SELECT queued.id FROM audit_unsealed AS queued"
            " WHERE queued.tenant_id = current_tenant()"
            " AND NOT EXISTS (SELECT 1 FROM audit_event AS event"
            " WHERE event.tenant_id = queued.tenant_id AND event.id = queued.id)"
            " ORDER BY queued.id LIMIT :limit"
        ),
        {"limit": MOST_REMOVED},
    )
    return rows.scalars().all()


async def _queued(session: AsyncSession, tenant_id: UUID, limit: int) -> Sequence[AuditEvent]:
    """Without those that are sealed, which a restore of the events alone queues again."""
    await session.execute(
        text(
            "DELETE FROM audit_unsealed WHERE tenant_id = :tenant_id AND id IN"
            " (SELECT id FROM audit_unsealed WHERE tenant_id = :tenant_id ORDER BY id LIMIT :limit)"
            " AND EXISTS (SELECT 1 FROM audit_leaf WHERE audit_leaf.tenant_id = :tenant_id"
            " AND event_id = audit_unsealed.id)"
        ),
        {"tenant_id": tenant_id, "limit": limit},
    )
    statement = (
        select(AuditEvent)
        .join(AuditUnsealed, col(AuditUnsealed.id) == col(AuditEvent.id))
        .join(
            AuditLeaf,
            (col(AuditLeaf.tenant_id) == col(AuditEvent.tenant_id))
            & (col(AuditLeaf.event_id) == col(AuditEvent.id)),
            isouter=True,
        )
        .where(col(AuditUnsealed.tenant_id) == tenant_id, col(AuditLeaf.seq).is_(None))
        .order_by(col(AuditUnsealed.id))
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


def _leaves(events: Sequence[AuditEvent], first: int) -> list[Leaf]:
    return [
        Leaf(
            seq=seq,
            event_id=event.id,
            tenant_id=event.tenant_id,
            at=event.at,
            actor_id=event.actor_id,
            actor_kind=event.actor_kind,
            action=event.action,
            object_type=event.object_type,
            object_id=event.object_id,
            request_id=event.request_id,
            workflow_id=event.workflow_id,
            commitment=commitment_to(event.salt or b"", event.origin, event.payload or {}),
        )
        for seq, event in enumerate(events, first)
    ]


async def _add_leaves(
    session: AsyncSession, tenant_id: UUID, leaves: Sequence[Leaf], hashes: Sequence[bytes]
) -> None:
    """And takes them out of the queue."""
    event_ids = [leaf.event_id for leaf in leaves]
    await session.execute(
        text(
            "INSERT INTO audit_leaf (tenant_id, seq, event_id, commitment, hash)"
            " SELECT :tenant_id, * FROM unnest(CAST(:seqs AS bigint[]), CAST(:event_ids AS uuid[]),"
            " CAST(:commitments AS bytea[]), CAST(:hashes AS bytea[]))"
        ),
        {
            "tenant_id": tenant_id,
            "seqs": [leaf.seq for leaf in leaves],
            "event_ids": event_ids,
            "commitments": [leaf.commitment for leaf in leaves],
            "hashes": list(hashes),
        },
    )
    await session.execute(
        text(
            "DELETE FROM audit_unsealed"
            " WHERE tenant_id = :tenant_id AND id = ANY (CAST(:event_ids AS uuid[]))"
        ),
        {"tenant_id": tenant_id, "event_ids": event_ids},
    )


async def _add_subtrees(
    session: AsyncSession, tenant_id: UUID, subtrees: Sequence[tuple[Subtree, bytes]]
) -> None:
    if not subtrees:
        return
    await session.execute(
        text(
            "INSERT INTO audit_subtree (tenant_id, level, index, hash)"
            " SELECT :tenant_id, * FROM unnest(CAST(:levels AS smallint[]),"
            " CAST(:indexes AS bigint[]), CAST(:hashes AS bytea[]))"
        ),
        {
            "tenant_id": tenant_id,
            "levels": [subtree.level for subtree, _ in subtrees],
            "indexes": [subtree.index for subtree, _ in subtrees],
            "hashes": [root for _, root in subtrees],
        },
    )


async def range_hashes(session: AsyncSession, ranges: Sequence[Range]) -> list[bytes]:
    """The hashes over ranges of leaves that a proof names, in their order. Raises AuditTampered where
    leaves are missing."""
    parts = [complete_subtrees(each) for each in ranges]
    found = await subtree_hashes(session, [part for each in parts for part in each])
    return [joined([found[part] for part in each]) for each in parts]


async def subtree_hashes(
    session: AsyncSession, subtrees: Iterable[Subtree]
) -> dict[Subtree, bytes]:
    """Their roots, each out of what is kept at the level below it. Raises AuditTampered where some of that
    is missing."""
    by_level: dict[int, list[Subtree]] = {}
    for subtree in subtrees:
        by_level.setdefault(subtree.level - subtree.level % TILE_LEVELS, []).append(subtree)
    found: dict[Subtree, bytes] = {}
    for kept_level, wanted in by_level.items():
        kept = await _kept_hashes(session, kept_level, wanted)
        for subtree, hashes in zip(wanted, kept, strict=True):
            if len(hashes) != 1 << (subtree.level - kept_level):
                raise AuditTampered("leaves that were sealed are missing")
            found[subtree] = _folded(hashes)
    return found


async def _kept_hashes(
    session: AsyncSession, level: int, wanted: Sequence[Subtree]
) -> list[list[bytes]]:
    """What is kept at that level below each of the subtrees, from the left."""
    table, place = ("audit_leaf", "seq") if level == 0 else ("audit_subtree", "index")
    of_level = "" if level == 0 else f" AND kept.level = {level:d}"
    rows = await session.execute(
        text(
            "SELECT part.number, kept.hash FROM unnest(CAST(:starts AS bigint[]), CAST(:ends AS bigint[]))"  # noqa: S608 - constants
            f" WITH ORDINALITY AS part(first, behind, number) JOIN {table} AS kept"
            f" ON kept.tenant_id = current_tenant(){of_level}"
            f" AND kept.{place} >= part.first AND kept.{place} < part.behind"
            f" ORDER BY part.number, kept.{place}"
        ),
        {
            "starts": [each.start >> level for each in wanted],
            "ends": [each.end >> level for each in wanted],
        },
    )
    found: list[list[bytes]] = [[] for _ in wanted]
    for number, each in rows:
        found[number - 1].append(each)
    return found


def _folded(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of neighbours."""
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [node_hash(left, right) for left, right in pairs]
    return hashes[0]
