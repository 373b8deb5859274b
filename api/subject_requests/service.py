"""Requests of people: asked for, decided, told. They reach every file of the tenant."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.content import Sealed
from api.files.discarding import discard_blob
from api.services import Services
from api.subject_requests.schemas import (
    ErasedFile,
    NewSubjectDecision,
    NewSubjectRequest,
    SubjectRequestDetail,
    SubjectRequestItem,
    SubjectStatement,
)
from api.subject_requests.schemas import SubjectRequest as SubjectRequestView
from db.audit import record
from db.models import SubjectDecision, SubjectRequest, new_id, now
from db.queries import subject_erasures, subject_exports, subject_requests
from db.queries.subject_requests import LONGEST_OPEN
from db.queries.views import stored_blob
from muniment.contracts.subject_requests import (
    ItemState,
    SubjectIdentity,
    SubjectKind,
    SubjectRequestInput,
    SubjectState,
)
from muniment.errors import (
    Conflict,
    Forbidden,
    Gone,
    KeyDestroyed,
    MunimentError,
    NotFound,
    TooManyRequests,
    Unprocessable,
    WrongField,
)
from muniment.objects import NewTextKey, SealedText
from muniment.objects.sealed_texts import subject_place
from workflows.starting import start_subject_request

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/zip"
MAX_AT_WORK = 5
"""Of a tenant: each reads all that there is."""
MOST_REFUSED = 10_000


async def fingerprint(services: Services, caller: Caller, body: NewSubjectRequest) -> bytes:
    """By which a repetition of the request is known, keyed by the tenant: a plain hash of a telephone
    number would be soon guessed."""
    digest = hashlib.sha256(b"subject-request\0" + body.model_dump_json().encode()).digest()
    return await services.keys.dedup_tag(caller.tenant_id, digest)


async def make(
    session: AsyncSession, caller: Caller, made: NewTextKey, body: NewSubjectRequest
) -> SubjectRequest:
    """Raises TooManyRequests."""
    await subject_requests.lock_requests(session, caller.tenant_id)
    if await subject_requests.count_at_work(session) >= MAX_AT_WORK:
        raise TooManyRequests(
            f"{MAX_AT_WORK} requests of the tenant are at work",
            remedy="Wait for one of them to have been looked for.",
        )
    identity = SubjectIdentity(identifiers=tuple(body.subject.identifiers), reason=body.reason)
    request_id = new_id()
    sealed = made.key.seal(
        identity.model_dump_json().encode(), subject_place(caller.tenant_id, request_id)
    )
    row = SubjectRequest(
        id=request_id,
        tenant_id=caller.tenant_id,
        kind=body.kind.value,
        state=SubjectState.FINDING.value,
        requested_by=caller.principal_id,
        text_key_id=made.blob.blob_id,
        subject=sealed,
        keep_days=body.keep_days,
        expires_at=now() + LONGEST_OPEN,
    )
    await subject_requests.add_request(session, row, made.blob)
    record(
        session,
        caller.act(
            "subject_request.opened",
            "subject_request",
            request_id,
            {"kind": row.kind, "identifiers": len(identity.identifiers)},
        ),
    )
    return row


async def discard(services: Services, caller: Caller, made: NewTextKey) -> None:
    await discard_blob(
        services, caller.access, made.blob, "the key of a subject request was left behind"
    )


async def require_request(
    session: AsyncSession, request_id: UUID, *, for_update: bool = False
) -> SubjectRequest:
    found = await subject_requests.get_request(session, request_id, for_update=for_update)
    if found is None:
        raise NotFound("there is no such subject request")
    return found


async def views(session: AsyncSession, rows: Sequence[SubjectRequest]) -> list[SubjectRequestView]:
    ids = [row.id for row in rows]
    counts = await subject_requests.counts_of(session, ids)
    decisions = await subject_requests.decisions_of(session, ids)
    return [SubjectRequestView.of(row, counts[row.id], decisions.get(row.id)) for row in rows]


async def detailed(
    services: Services, row: SubjectRequest, view: SubjectRequestView
) -> SubjectRequestDetail:
    """With the words in which it was asked, as long as they can be opened."""
    if row.text_key_id is None or row.subject is None:
        return SubjectRequestDetail.told(view, None)
    place = subject_place(row.tenant_id, row.id)
    sealed = SealedText(row.tenant_id, row.text_key_id, place, row.subject)
    try:
        (identity,) = await services.texts.opened([sealed], SubjectIdentity)
    except KeyDestroyed:
        return SubjectRequestDetail.told(view, None)
    return SubjectRequestDetail.told(view, identity)


async def decide(
    session: AsyncSession, caller: Caller, request_id: UUID, body: NewSubjectDecision
) -> SubjectRequestView:
    """Once. Raises Conflict where it does not wait for a decision, Forbidden for who may not make it."""
    row = await require_request(session, request_id, for_update=True)
    if row.state != SubjectState.WAITING or row.expires_at <= now():
        raise Conflict(f"the request is {row.state}, and not waiting for a decision")
    if body.approve:
        _require_approver(caller, row)
    excluded = await _excluded(session, row, body)
    counts = (await subject_requests.counts_of(session, [row.id]))[row.id]
    confirmed = counts.get(ItemState.FOUND, 0) if body.approve else 0
    session.add(
        SubjectDecision(
            request_id=row.id,
            tenant_id=row.tenant_id,
            decided_by=caller.principal_id,
            is_approved=body.approve,
            confirmed=confirmed,
            excluded=excluded,
        )
    )
    _go_on(row, body)
    told = {"approve": body.approve, "confirmed": confirmed, "excluded": excluded}
    record(
        session,
        caller.act("subject_request.decided", "subject_request", row.id, {**told}),
    )
    await session.flush()
    return (await views(session, [row]))[0]


def _require_approver(caller: Caller, row: SubjectRequest) -> None:
    """What cannot be undone takes two people, and the right to erase."""
    if row.kind != SubjectKind.ERASURE:
        return
    if caller.principal_id == row.requested_by:
        raise Forbidden(
            "who asked for an erasure does not confirm it", remedy="Have somebody else decide."
        )
    if "files:delete" not in caller.scopes:
        raise Forbidden("to confirm an erasure needs the scope files:delete as well")


async def _excluded(session: AsyncSession, row: SubjectRequest, body: NewSubjectDecision) -> int:
    wanted = {*body.exclude}
    excluded = await subject_requests.exclude(session, row.id, [*wanted])
    if excluded != len(wanted):
        detail = "a file is not among those that were found"
        raise Unprocessable(detail, errors=[WrongField(field="exclude", detail=detail)])
    return excluded


def _go_on(row: SubjectRequest, body: NewSubjectDecision) -> None:
    """To whom it refers is known for some days after."""
    row.expires_at = min(row.expires_at, now() + timedelta(days=row.keep_days))
    if not body.approve:
        row.state, row.finished_at = SubjectState.REJECTED.value, now()
    elif row.kind == SubjectKind.ERASURE:
        row.state = SubjectState.ERASING.value
    else:
        # The copy is made first: its days begin when it is there.
        row.state = SubjectState.EXPORTING.value
        row.expires_at = now() + LONGEST_OPEN


async def require_export(session: AsyncSession, caller: Caller, request_id: UUID) -> Sealed:
    """Raises Conflict until the copy is made, Gone once its time is over, or a file of it is to be erased."""
    row = await require_request(session, request_id)
    if row.kind != SubjectKind.ACCESS or not SubjectState(row.state).is_over:
        raise Conflict("there is no copy yet", remedy="Ask once the request is `completed`.")
    stored = None
    if row.export_blob_id is not None and row.expires_at > now():
        stored = await stored_blob(session, row.export_blob_id)
    if stored is None:
        raise Gone("the copy is no longer there", remedy="Ask for another one.")
    if await subject_exports.has_file_to_be_erased(session, row.id):
        raise Gone("a file of the copy is to be erased", remedy="Ask for another one.")
    record(session, caller.act("subject_request.exported", "subject_request", row.id))
    name = f"subject-request-{row.id}.zip"
    return Sealed(row.tenant_id, stored.blob_id, stored.size, stored.sha256, name, MEDIA_TYPE)


async def statement(session: AsyncSession, request_id: UUID) -> SubjectStatement:
    """Raises Conflict while it has not ended."""
    row = await require_request(session, request_id)
    if row.finished_at is None:
        raise Conflict("the request has not ended", remedy="Ask once its `finished_at` is set.")
    (view,) = await views(session, [row])
    refused = await subject_requests.list_items(
        session, row.id, limit=MOST_REFUSED, state=ItemState.REFUSED
    )
    return SubjectStatement(
        request=view,
        erased=[
            ErasedFile(file_id=file_id, erasure_id=erasure_id, finished_at=finished_at)
            for file_id, erasure_id, finished_at in await subject_erasures.certified(
                session, row.id
            )
        ],
        refused=[SubjectRequestItem.of(each) for each in refused],
        certificates_sha256=None
        if row.certificates_sha256 is None
        else row.certificates_sha256.hex(),
    )


async def tell_workflow(services: Services, caller: Caller, request_id: UUID) -> None:
    """Has the request's workflow look at what was committed. Where that cannot be had now, a worker starts
    it, or it looks by itself."""
    request = SubjectRequestInput(tenant_id=caller.tenant_id, request_id=request_id)
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            await start_subject_request(services.temporal.client, request)
    except (MunimentError, TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        reason = {"reason": type(error).__name__, "request": str(request_id)}
        logger.warning("the workflow of a subject request was not told", extra=reason)
