"""Seals the audit trail of a tenant, and copies what was signed."""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import AuditCheckpoint, now
from db.queries import audit_checkpoints, audit_tree
from db.queries.audit_tree import SealedTree
from db.session import Access, Database
from muniment.audit.checkpoints import MAX_NOTE_BYTES, Checkpoint, is_of, opened, origin_of
from muniment.audit.signing_keys import SigningKeys
from muniment.errors import AuditTampered, MunimentError, ObjectMissing
from muniment.objects import ObjectStore
from muniment.telemetry.metrics import audit_refused_total, audit_sealed_events_total

logger = logging.getLogger(__name__)

BATCH_EVENTS = 1_000
"""Leaves of a transaction: some 200 ms, of which hashing takes what a worker's loop can spare at once."""
COPIES_AT_ONCE = 100


@dataclass(frozen=True)
class Sealed:
    """What one turn came to. `is_last`: nothing was left in the queue that was committed. `removed`: events
    that somebody took away before they were sealed, which is looked for in the last turn."""

    events: int
    checkpoints: int
    is_last: bool
    removed: Sequence[UUID] = ()


_NOT_OUR_TURN = Sealed(0, 0, is_last=True)


class Sealer:
    """Any number may work beside each other: a tenant's trail is sealed by one at a time. `copies` is the
    second place, if there is one."""

    def __init__(
        self,
        database: Database,
        keys: SigningKeys,
        copies: ObjectStore | None = None,
        batch_events: int = BATCH_EVENTS,
    ) -> None:
        self._database = database
        self._keys = keys
        self._copies = copies
        self._batch_events = batch_events

    @property
    def makes_copies(self) -> bool:
        return self._copies is not None

    async def seal(self, tenant_id: UUID, *, compares: bool = True) -> Sealed:
        """One batch, in a transaction of its own. Raises AuditTampered where what is kept of the tree is
        not what was signed of it, or is behind the second place or another tree than that one's;
        CheckpointInvalid where its newest checkpoint is not signed by us; ObjectStoreUnavailable where the
        second place does not answer: `compares=False` seals without it."""
        # Read before our turn: what lies there was committed here before, so that sealing beside us is no
        # fault, and no transaction waits for another machine.
        kept = await self._newest_copy(tenant_id) if compares else None
        async with self._database.transaction(Access(tenant_id)) as session:
            if not await audit_tree.take_turn(session, tenant_id):
                return _NOT_OUR_TURN
            former = await audit_tree.newest_checkpoint(session)
            if former is not None:
                self._require_ours(former, tenant_id)
            await _require_continued(session, kept)
            tree = await audit_tree.seal_queued(session, tenant_id, former, self._batch_events)
            if tree.sealed:
                self._sign(session, tenant_id, tree)
            is_last = tree.sealed < self._batch_events
            removed = await audit_tree.removed_unsealed(session) if is_last else ()
        audit_sealed_events_total.inc(tree.sealed)
        return Sealed(tree.sealed, 1 if tree.sealed else 0, is_last, removed)

    async def copy(self, tenant_id: UUID) -> int:
        """Puts checkpoints into the second place that do not lie there yet, the smallest first; how many.
        Raises ObjectStoreUnavailable, and AuditTampered where another one of that size lies there, which is
        left as it is: one of the two is of a trail that was rewritten, or of a database that was restored."""
        if self._copies is None:
            return 0
        kept = await self._newest_copy(tenant_id)
        async with self._database.transaction(Access(tenant_id)) as session:
            await _require_continued(session, kept)
            found = await audit_checkpoints.uncopied_checkpoints(session, COPIES_AT_ONCE)
        for checkpoint in found:
            await _put_once(self._copies, copy_key(tenant_id, checkpoint.size), checkpoint)
        # Behind the copies: ended in between, it names an earlier one, which is true as well.
        if found and (kept is None or found[-1].size > kept.size):
            await self._copies.put(newest_copy_key(tenant_id), _only(found[-1].note))
        async with self._database.transaction(Access(tenant_id)) as session:
            await audit_checkpoints.mark_copied(session, [each.size for each in found])
        return len(found)

    async def _newest_copy(self, tenant_id: UUID) -> Checkpoint | None:
        """The newest checkpoint in the second place, if there is one."""
        if self._copies is None:
            return None
        try:
            note = await _read(self._copies, newest_copy_key(tenant_id))
        except ObjectMissing:
            return None
        said = opened(note.decode(errors="replace"), self._keys.verifier_keys)
        if not is_of(said.origin, tenant_id):
            raise AuditTampered("the second place has another tenant's checkpoint as the newest")
        return said

    def _require_ours(self, former: AuditCheckpoint, tenant_id: UUID) -> None:
        """The row's figures are what sealing goes by, and the note is what was signed."""
        said = opened(former.note, self._keys.verifier_keys)
        if (said.size, said.root) != (former.size, former.root):
            raise AuditTampered("a checkpoint's row is not what its note says")
        if not is_of(said.origin, tenant_id):
            raise AuditTampered("the newest checkpoint is of another tenant's trail")

    def _sign(self, session: AsyncSession, tenant_id: UUID, tree: SealedTree) -> None:
        signer = self._keys.signer
        origin = origin_of(signer.name, tenant_id)
        session.add(
            AuditCheckpoint(
                tenant_id=tenant_id,
                size=tree.size,
                root=tree.root,
                note=signer.sign(Checkpoint(origin, tree.size, tree.root)),
                verifier_key=signer.verifier_key.written(),
                created_at=now(),
            )
        )


def copy_key(tenant_id: UUID, size: int) -> str:
    """Where a checkpoint lies in the second place; sorted by size."""
    return f"checkpoints/{tenant_id}/{size:019d}.note"


def newest_copy_key(tenant_id: UUID) -> str:
    """Where a copy of the newest of them lies beside, so that it is found without listing."""
    return f"newest/{tenant_id}.note"


async def _require_continued(session: AsyncSession, kept: Checkpoint | None) -> None:
    """What was signed and copied is still there. Raises AuditTampered where the trail ends before it, or
    another one was signed in its stead."""
    if kept is None:
        return
    there = await audit_checkpoints.checkpoint_at(session, kept.size)
    if there is None:
        raise AuditTampered(
            f"the second place has a checkpoint over {kept.size} events, and the database has none"
        )
    if there.root != kept.root:
        raise AuditTampered(f"the second place has another checkpoint over {kept.size} events")


async def _read(copies: ObjectStore, key: str) -> bytes:
    """Of what cannot be a note no more than shows it."""
    found = b""
    async for chunk in copies.read(key, length=MAX_NOTE_BYTES + 1):
        found += chunk
    return found


async def _put_once(copies: ObjectStore, key: str, checkpoint: AuditCheckpoint) -> None:
    try:
        there = await _read(copies, key)
    except ObjectMissing:
        await copies.put(key, _only(checkpoint.note))
        return
    if there != checkpoint.note.encode():
        raise AuditTampered("another checkpoint of this size lies in the second place")


def refused(error: Exception, tenant_id: UUID) -> None:
    """Tells of a trail that is left as it is, until somebody has looked. Of an error that is not ours no
    more than its class: it may quote what it could not take."""
    ours = error if isinstance(error, MunimentError) else None
    audit_refused_total.inc()
    logger.error(
        "an audit trail is not sealed any further",
        extra={
            "tenant_id": str(tenant_id),
            "reason": ours.problem if ours else type(error).__name__,
            "detail": ours.detail if ours else None,
        },
    )


def removed_before(event_ids: Sequence[UUID], tenant_id: UUID) -> None:
    """Tells of events that will never be sealed."""
    logger.error(
        "events were removed from an audit trail before they were sealed",
        extra={"tenant_id": str(tenant_id), "events": [str(each) for each in event_ids]},
    )


async def _only(note: str) -> AsyncIterator[bytes]:
    yield note.encode()
