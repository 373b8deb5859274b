"""What becomes of a file that nothing keeps any more. Judged in the transaction that acts, behind the lock of
holds and the files' own: what was placed before is found, and what comes later finds the file gone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from db.audit import record
from db.erasures import Actor, order_erasures
from db.ingestions import Origin
from db.models import File, Job, now
from db.queries import dispositions, members
from db.queries.preservation import UNKEPT, Keeping, keepings, share_holds
from db.queries.retention_sweeps import lock_files
from muniment.contracts.retention import Disposition

DELETIONS = (Disposition.DELETE, Disposition.REVIEW)


@dataclass(frozen=True)
class Disposing:
    """Who disposes, and since which sweep."""

    origin: Origin
    actor: Actor
    sweep_id: UUID

    def why(self, policies: Iterable[UUID]) -> dict[str, JsonValue]:
        """For the audit trail."""
        return {"sweep_id": str(self.sweep_id), "policies": [str(each) for each in policies]}


def is_due(keeping: Keeping) -> bool:
    """Whether something is to become of the file, and no hold keeps it."""
    return keeping.judgement.is_due and not keeping.holds


async def lock_and_judge(
    session: AsyncSession, file_ids: Sequence[UUID], as_of: datetime
) -> tuple[Sequence[File], Mapping[UUID, Keeping]]:
    """The files that are still there, locked, and what is known of them; until the transaction ends nobody
    places a hold, a lock or a policy."""
    await share_holds(session)
    locked = await lock_files(session, file_ids)
    return locked, await keepings(session, [file.id for file in locked], as_of)


async def delete(
    session: AsyncSession, by: Disposing, file: File, as_of: datetime
) -> list[Job] | None:
    """Orders the erasure of a file that `lock_and_judge` found due, and of all that came out of it: their
    jobs, the file's own first. None, and nothing done, where some of that is to be kept: by a
    hold, or because its own policies want something else."""
    descendants = await members.lock_descendants(session, file.id, "manage")
    ids = [file.id, *(each.id for each in descendants)]
    kept = await keepings(session, ids, as_of)
    if any(not _may_go(kept.get(each, UNKEPT), as_of) for each in ids[1:]):
        return None
    own = kept.get(file.id, UNKEPT)
    if not is_due(own) or own.judgement.disposition not in DELETIONS:
        return None
    why = by.why(own.judgement.deciding)
    wanted = [file, *descendants]
    ordered = await order_erasures(session, by.origin, by.actor, wanted, frozenset(), why)
    return [job for job, _ in ordered]


def _may_go(keeping: Keeping, as_of: datetime) -> bool:
    """Of what came out of a file that is deleted."""
    judgement = keeping.judgement
    if keeping.holds or judgement.standing(as_of):
        return False
    return not judgement.deciding or judgement.disposition is Disposition.DELETE


async def relabel(session: AsyncSession, by: Disposing, file: File, keeping: Keeping) -> None:
    """Gives the file the label that its policies say: others may keep it from then on."""
    label = keeping.judgement.relabel_to
    if label is None or label in file.labels:
        return
    file.labels = [*file.labels, label]
    file.revision += 1
    file.updated_at = now()
    payload: dict[str, JsonValue] = {"fields": ["labels"], **by.why(keeping.judgement.deciding)}
    record(session, by.actor.act("file.changed", "file", file.id, payload))


async def ask(session: AsyncSession, by: Disposing, file: File, keeping: Keeping) -> bool:
    """Puts the file before people; whether it did not wait for them already."""
    policies = keeping.judgement.deciding
    made = await dispositions.open_disposition(
        session, by.origin.tenant_id, file.id, by.sweep_id, policies
    )
    if made is None:
        return False
    payload: dict[str, JsonValue] = {"file_id": str(file.id), **by.why(policies)}
    record(session, by.actor.act("disposition.opened", "disposition", made, payload))
    return True
