"""Seals the audit trail of a tenant, and copies what was signed."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import AuditCheckpoint, now
from db.queries import audit_checkpoints, audit_tree
from db.queries.audit_tree import SealedTree
from db.session import Access, Database
from muniment.audit.checkpoints import Checkpoint, opened, origin_of
from muniment.audit.signing_keys import SigningKeys
from muniment.errors import AuditTampered, CheckpointInvalid
from muniment.objects import ObjectStore
from muniment.telemetry.metrics import audit_sealed_events_total

logger = logging.getLogger(__name__)

BATCH_EVENTS = 5_000
"""Leaves of a transaction: some 200 ms, in which nobody waits but the next batch."""
COPIES_AT_ONCE = 100


@dataclass(frozen=True)
class Sealed:
    """What one turn came to. `is_last`: nothing was left in the queue that was committed."""

    events: int
    checkpoints: int
    is_last: bool


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

    async def seal(self, tenant_id: UUID) -> Sealed:
        """One batch, in a transaction of its own. Raises AuditTampered where what is kept of the tree is
        not what was signed of it, CheckpointInvalid where its newest checkpoint is not signed by us."""
        async with self._database.transaction(Access(tenant_id)) as session:
            if not await audit_tree.take_turn(session, tenant_id):
                return _NOT_OUR_TURN
            former = await audit_tree.newest_checkpoint(session)
            if former is not None:
                self._require_ours(former)
            tree = await audit_tree.seal_queued(session, tenant_id, former, self._batch_events)
            if tree.sealed:
                self._sign(session, tenant_id, tree)
        audit_sealed_events_total.inc(tree.sealed)
        is_last = tree.sealed < self._batch_events
        return Sealed(tree.sealed, 1 if tree.sealed else 0, is_last)

    async def copy(self, tenant_id: UUID) -> int:
        """Puts checkpoints into the second place that do not lie there yet, the smallest first; how many.
        Raises ObjectStoreUnavailable; a copy that is made twice is the same."""
        if self._copies is None:
            return 0
        async with self._database.transaction(Access(tenant_id)) as session:
            found = await audit_checkpoints.uncopied_checkpoints(session, COPIES_AT_ONCE)
        for checkpoint in found:
            await self._copies.put(copy_key(tenant_id, checkpoint.size), _only(checkpoint.note))
        async with self._database.transaction(Access(tenant_id)) as session:
            await audit_checkpoints.mark_copied(session, [each.size for each in found])
        return len(found)

    def _require_ours(self, former: AuditCheckpoint) -> None:
        """The row's figures are what sealing goes by, and the note is what was signed."""
        said = opened(former.note, self._keys.verifier_keys)
        if (said.size, said.root) != (former.size, former.root):
            raise AuditTampered("a checkpoint's row is not what its note says")

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


def refused(error: AuditTampered | CheckpointInvalid, tenant_id: UUID) -> None:
    """Tells of a trail that is left as it is, until somebody has looked."""
    logger.error(
        "an audit trail is not sealed any further",
        extra={"tenant_id": str(tenant_id), "reason": error.problem, "detail": error.detail},
    )


async def _only(note: str) -> AsyncIterator[bytes]:
    yield note.encode()
