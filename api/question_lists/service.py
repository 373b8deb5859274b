"""Lists of questions: made, steered, told and forgotten. Nobody but their asker sees them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.events.wire import HEARTBEAT, HEARTBEAT_SECONDS, server_sent_event
from api.files.discarding import discard_blob
from api.question_lists.reading import QuestionRow
from api.question_lists.schemas import QuestionList as QuestionListView
from api.question_lists.schemas import Resumption
from api.question_lists.writing import WAITING, WITHHELD, AnsweredRow, heading, written
from api.services import Services
from db.audit import record
from db.models import QuestionList, QuestionListItem, new_id, now
from db.queries import question_lists
from muniment.contracts.answer_questions import (
    AnswerQuestionsInput,
    ListedAnswer,
    ListedQuestion,
    ListState,
    QuestionOutcome,
    workflow_id,
)
from muniment.errors import Conflict, MunimentError, NotFound, TooManyRequests
from muniment.objects import NewTextKey, SealedText
from muniment.objects.sealed_texts import answer_place, question_place
from retrieval.request import Generate
from workflows.starting import cancel_workflow, start_answering

logger = logging.getLogger(__name__)

MAX_AT_WORK = 5
"""Of a tenant: each asks hundreds of questions, beside what people ask."""
MAX_OPEN_LISTS = 3
"""Of a principal, paused ones too: nobody else can end them."""
ROWS_AT_ONCE = 100
"""That are opened and written together."""
LOOK_SECONDS = 1.0
"""So often is looked how far a list that is followed has come."""

_AT_WORK = (ListState.QUEUED, ListState.RUNNING)


@dataclass(frozen=True)
class Wanted:
    """How the questions are to be asked, and their answers kept."""

    collection: str | None
    generate: Generate
    top_k: int
    max_tokens: int | None
    keep_days: int


async def seal(services: Services, caller: Caller) -> NewTextKey:
    """The key of a new list; whoever commits no row for it discards it."""
    return await services.texts.make_key(caller.tenant_id)


async def discard(services: Services, caller: Caller, made: NewTextKey) -> None:
    await discard_blob(
        services, caller.access, made.blob, "the key of a list of questions was left behind"
    )


async def make(
    session: AsyncSession,
    caller: Caller,
    made: NewTextKey,
    wanted: Wanted,
    rows: Sequence[QuestionRow],
) -> QuestionList:
    """Raises TooManyRequests."""
    await _require_place(session, caller)
    if await question_lists.count_open(session, caller.principal_id) >= MAX_OPEN_LISTS:
        raise TooManyRequests(
            f"{MAX_OPEN_LISTS} of your lists are open",
            remedy="Wait for one of them to end, or cancel it.",
        )
    list_id = new_id()
    row = QuestionList(
        id=list_id,
        tenant_id=caller.tenant_id,
        principal_id=caller.principal_id,
        text_key_id=made.blob.blob_id,
        collection=wanted.collection,
        generate=wanted.generate.value,
        top_k=wanted.top_k,
        question_count=len(rows),
        max_tokens=wanted.max_tokens,
        keep_days=wanted.keep_days,
        state=ListState.QUEUED.value,
        expires_at=now() + question_lists.LONGEST_OPEN,
    )
    sealed = [
        (
            each.number,
            made.key.seal(
                each.question.model_dump_json().encode(),
                question_place(caller.tenant_id, list_id, ordinal),
            ),
        )
        for ordinal, each in enumerate(rows)
    ]
    await question_lists.add_list(session, row, made.blob, sealed)
    asked: dict[str, JsonValue] = {"questions": len(rows), "generate": row.generate}
    record(session, caller.act("question_list.requested", "question_list", row.id, asked))
    return row


async def _require_place(session: AsyncSession, caller: Caller) -> None:
    """For one more that is at work. Raises TooManyRequests."""
    await question_lists.lock_lists(session, caller.tenant_id)
    if await question_lists.count_at_work(session) >= MAX_AT_WORK:
        raise TooManyRequests(
            f"{MAX_AT_WORK} lists of the tenant are at work",
            remedy="Wait for one of them to end.",
        )


async def require_list(
    session: AsyncSession, caller: Caller, list_id: UUID, *, for_update: bool = False
) -> QuestionList:
    """Raises NotFound for what is not the caller's own."""
    found = await question_lists.get_list(session, list_id, for_update=for_update)
    if found is None or found.principal_id != caller.principal_id:
        raise NotFound("there is no such list of questions")
    return found


async def views(session: AsyncSession, rows: Sequence[QuestionList]) -> list[QuestionListView]:
    counts = await question_lists.counts_of(session, [row.id for row in rows])
    return [_view(row, counts[row.id]) for row in rows]


def _view(row: QuestionList, counts: Mapping[str, int]) -> QuestionListView:
    outcomes = {each.value: counts.get(each.value, 0) for each in QuestionOutcome}
    done = sum(outcomes.values())
    return QuestionListView(
        id=row.id,
        state=ListState(row.state),
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
        questions=row.question_count,
        done=done,
        **outcomes,
        percent=round(100 * done / row.question_count, 1),
        tokens=counts["tokens"],
        max_tokens=row.max_tokens,
        collection=row.collection,
        generate=Generate(row.generate),
        top_k=row.top_k,
    )


async def pause(session: AsyncSession, caller: Caller, list_id: UUID) -> QuestionListView:
    """The question that is being asked is its last until it is resumed."""
    row = await require_list(session, caller, list_id, for_update=True)
    if row.state not in _AT_WORK:
        raise Conflict(f"a list that is {row.state} cannot be paused")
    row.state, row.reason = ListState.PAUSED.value, None
    record(session, caller.act("question_list.paused", "question_list", row.id))
    return (await views(session, [row]))[0]


async def resume(
    session: AsyncSession, caller: Caller, list_id: UUID, body: Resumption
) -> QuestionListView:
    """Raises Conflict where it is not paused, or may still cost no more than it did; TooManyRequests."""
    row = await require_list(session, caller, list_id, for_update=True)
    if row.state != ListState.PAUSED:
        raise Conflict(f"a list that is {row.state} cannot be resumed")
    if body.max_tokens is not None:
        row.max_tokens = body.max_tokens
    (view,) = await views(session, [row])
    if row.max_tokens is not None and view.tokens >= row.max_tokens:
        raise Conflict(
            "the tokens that the list may cost are used up",
            remedy="Resume it with a larger `max_tokens`, or cancel it.",
        )
    await _require_place(session, caller)
    row.state, row.reason = ListState.RUNNING.value, None
    record(
        session,
        caller.act(
            "question_list.resumed", "question_list", row.id, {"max_tokens": row.max_tokens}
        ),
    )
    return view.model_copy(update={"state": ListState.RUNNING, "reason": None})


async def cancel(session: AsyncSession, caller: Caller, list_id: UUID) -> QuestionListView:
    """It is over at once: no answer is kept any more."""
    row = await require_list(session, caller, list_id, for_update=True)
    if row.finished_at is not None:
        raise Conflict("the list has ended")
    await question_lists.end_list(session, row, ListState.CANCELLED, None)
    record(session, caller.act("question_list.cancelled", "question_list", row.id))
    return (await views(session, [row]))[0]


async def delete(session: AsyncSession, caller: Caller, list_id: UUID) -> None:
    """Its questions and answers are gone; a worker destroys its key. Raises Conflict while it is at work."""
    row = await require_list(session, caller, list_id, for_update=True)
    if row.finished_at is None:
        raise Conflict("the list is at work", remedy="Cancel it first.")
    await question_lists.forget_items(session, row.id)
    row.expires_at = now() - timedelta(seconds=1)
    record(session, caller.act("question_list.deleted", "question_list", row.id))


async def wake(services: Services, caller: Caller, list_id: UUID) -> None:
    """Has its workflow look at the row, which was committed. Where that cannot be had now, a worker starts
    it, or it looks by itself within minutes."""
    request = AnswerQuestionsInput(tenant_id=caller.tenant_id, list_id=list_id)
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            await start_answering(services.temporal.client, request)
        async with services.database.transaction(caller.access) as session:
            await question_lists.mark_started(session, list_id)
    except (MunimentError, TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        _log_untold(error, list_id)


async def stop(services: Services, list_id: UUID) -> None:
    """Has its workflow end the question that is being asked, which the row, that was committed, no longer
    wants. Where that cannot be had now, it ends by itself."""
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            await cancel_workflow(services.temporal.client, workflow_id(list_id))
    except (MunimentError, TimeoutError, RuntimeError) as error:
        _log_untold(error, list_id)


def _log_untold(error: Exception, list_id: UUID) -> None:
    reason = {"reason": type(error).__name__, "list_id": str(list_id)}
    logger.warning("the workflow of a list of questions was not told", extra=reason)


async def following(
    services: Services, caller: Caller, list_id: UUID
) -> AsyncGenerator[bytes, None]:
    """`state` with the list whenever it has changed, and `end` with it at last."""
    told: QuestionListView | None = None
    told_at = asyncio.get_running_loop().time()
    while True:
        async with services.database.transaction(caller.access) as session:
            row = await question_lists.get_list(session, list_id)
            if row is None:
                return
            (view,) = await views(session, [row])
        if view.finished_at is not None:
            yield server_sent_event("end", view.model_dump_json())
            return
        looked_at = asyncio.get_running_loop().time()
        if view != told:
            yield server_sent_event("state", view.model_dump_json())
            told, told_at = view, looked_at
        elif looked_at - told_at >= HEARTBEAT_SECONDS:
            yield HEARTBEAT
            told_at = looked_at
        await asyncio.sleep(LOOK_SECONDS)


async def answers(
    services: Services, caller: Caller, row: QuestionList
) -> AsyncGenerator[bytes, None]:
    """The CSV file, some rows at a time. An answer for which a file was read that the caller may not read
    now is left out. Raises NotFound where the list is gone before its end was reached, so that nobody takes a
    part for the whole."""
    yield heading()
    after = -1
    count = 0
    while True:
        # Of one moment: an erasure between the two empties the answer and forgets that it read the file.
        async with services.database.transaction(caller.access, is_snapshot=True) as session:
            items = await question_lists.items_after(session, row.id, after, ROWS_AT_ONCE)
            ordinals = [item.ordinal for item in items]
            withheld = await question_lists.out_of_reach(session, row.id, ordinals)
        if not items:
            if count < row.question_count:
                raise NotFound("there is no such list of questions any more")
            return
        count += len(items)
        yield written(await _rows(services, row, items, withheld))
        after = items[-1].ordinal


async def _rows(
    services: Services,
    row: QuestionList,
    items: Sequence[QuestionListItem],
    withheld: frozenset[int],
) -> list[AnsweredRow]:
    tenant_id, key_id = row.tenant_id, row.text_key_id
    questions = await services.texts.opened(
        [
            SealedText(
                tenant_id, key_id, question_place(tenant_id, row.id, item.ordinal), item.question
            )
            for item in items
        ],
        ListedQuestion,
    )
    shown = {
        item.ordinal: item.answer
        for item in items
        if item.answer is not None and item.ordinal not in withheld
    }
    opened = await services.texts.opened(
        [
            SealedText(tenant_id, key_id, answer_place(tenant_id, row.id, ordinal), sealed)
            for ordinal, sealed in shown.items()
        ],
        ListedAnswer,
    )
    said = dict(zip(shown, opened, strict=True))
    return [
        AnsweredRow(
            item.row_number,
            question,
            WITHHELD if item.ordinal in withheld else item.outcome or WAITING,
            said.get(item.ordinal),
            item.tokens,
        )
        for item, question in zip(items, questions, strict=True)
    ]
