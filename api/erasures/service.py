"""Erasures that are asked for by law, and what became of them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.audit.service import sealed_event
from api.authentication import Caller
from api.erasures.schemas import ContentProof
from api.files.service import require_file
from api.jobs.making import origin_of
from api.services import Services
from db.audit import record
from db.erasures import order_erasures
from db.models import Erasure, Job
from db.queries import audit_checkpoints, audit_tree, erasure_records, members
from db.queries.preservation import standing_preservations
from db.queries.preservation_kinds import GuardedAct
from muniment.contracts.jobs import FileState
from muniment.erasure_certificates import ErasureCertificate, content_tag, opening_digest, stated
from muniment.errors import Conflict, Gone, NotFound


async def order(
    session: AsyncSession, caller: Caller, file_id: UUID, reason: str | None
) -> list[tuple[Job, Erasure]]:
    """The file's first. Raises Gone, and Conflict where it was ordered before."""
    detail = await require_file(session, file_id, "manage", for_update=True)
    if detail.file.state == FileState.ERASED:
        raise Gone("the file was erased")
    if detail.file.state in (FileState.RESTRICTED, FileState.ERASING):
        raise Conflict("the file is to be erased already")
    wanted = [detail.file, *await members.lock_descendants(session, file_id, "manage")]
    ids = [each.id for each in wanted]
    kept = await standing_preservations(session, ids, GuardedAct.DELETION)
    ordered = await order_erasures(session, origin_of(caller), caller, wanted, kept)
    for _, erasure in ordered:
        erasure.reason = reason
    await session.flush()
    return ordered


async def list_erasures(
    session: AsyncSession, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Erasure]:
    return await erasure_records.list_erasures(session, limit=limit, after=after)


async def certify(session: AsyncSession, erasure_id: UUID) -> ErasureCertificate:
    """Raises Conflict until the erasure is done and sealed, Gone where its details were erased, NotFound for
    one of a release that certified none."""
    erasure = await require_erasure(session, erasure_id)
    event_id = await erasure_records.certified_event(session, erasure)
    if event_id is None:
        raise Conflict("the erasure is not done yet", remedy="Ask when it is `completed`.")
    seq = (await audit_checkpoints.seqs_of(session, [event_id])).get(event_id)
    checkpoint = await audit_tree.newest_checkpoint(session)
    if seq is None or checkpoint is None or seq >= checkpoint.size:
        raise Conflict("the erasure is yet to be sealed", remedy="Ask in some seconds.")
    event = await sealed_event(session, seq, checkpoint.size)
    if event.salt is None:
        raise Gone("the details of the event that certified it were erased")
    if stated(event) is None:
        raise NotFound("erasures of its time were not certified")
    return ErasureCertificate(
        event=event,
        hashes=await audit_checkpoints.inclusion_proof(session, seq, checkpoint.size),
        checkpoint=checkpoint.note,
        verifier_key=checkpoint.verifier_key,
    )


async def prove(
    services: Services, caller: Caller, erasure_id: UUID, content_sha256: bytes
) -> ContentProof:
    """Raises NotFound where that is nothing that was erased. Who asks is recorded whatever is answered:
    it tells whether a guess is right."""
    async with services.database.transaction(caller.access) as session:
        erasure = await require_erasure(session, erasure_id)
    digest = opening_digest(erasure.file_id, content_sha256)
    opening = await services.keys.dedup_tag(caller.tenant_id, digest)
    tag = content_tag(opening, content_sha256)
    matches = tag in (erasure.content_tags or ())
    async with services.database.transaction(caller.access) as session:
        payload: dict[str, JsonValue] = {"erasure_id": str(erasure_id), "matches": matches}
        record(session, caller.act("file.erasure_proved", "file", erasure.file_id, payload))
    if not matches:
        raise NotFound("no version of the file that was erased had that content")
    return ContentProof(content=tag.hex(), opening=opening.hex())


async def require_erasure(session: AsyncSession, erasure_id: UUID) -> Erasure:
    found = await erasure_records.get_erasure(session, erasure_id)
    if found is None:
        raise NotFound("there is no such erasure")
    return found
