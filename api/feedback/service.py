"""Feedback: given, shown, made into questions that evaluations ask."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.conversations.view import state_of
from api.conversations.words import feedback_part, open_messages, seal, sealed
from api.evaluations.schemas import EvaluationQuestion
from api.feedback.schemas import ExpectedSource, Feedback, NewFeedback
from api.services import Services
from db.audit import record
from db.models import Conversation, ConversationMessage, new_id, now
from db.models import Feedback as FeedbackRecord
from db.queries import conversations, feedback
from db.queries.feedback import FeedbackDetail
from muniment.contracts.conversations import MessageState, SaidWords, Verdict
from muniment.errors import Conflict, MunimentError, NotFound, Unprocessable
from muniment.sealing import TextKey

OTHERS = "audit:read"
MOST_CHARACTERS = 2_000
"""Of a question that is evaluated."""


def whose(caller: Caller) -> UUID | None:
    """Whose feedback the caller sees: its own, or (None) everyone's of the tenant, for administrators with a
    key that may look at what others do."""
    return None if caller.is_admin and OTHERS in caller.scopes else caller.principal_id


async def give(services: Services, caller: Caller, body: NewFeedback) -> Feedback:
    """Raises NotFound for what is no answer of the caller's own."""
    async with services.database.transaction(caller.access) as session:
        conversation, _ = await _answered(session, caller, body)
    key = await services.texts.key(caller.tenant_id, conversation.key_id)
    async with services.database.transaction(caller.access) as session:
        conversation, answer = await _answered(session, caller, body)
        if body.text is not None and answer.state == MessageState.FORGOTTEN:
            # It may repeat what was erased, and nothing would forget it.
            raise Conflict(
                "a file was erased that the answer may have quoted, so nothing is written about it",
                remedy="Leave `text` out.",
            )
        await _require_source(session, body)
        found = await feedback.of_message(session, body.message_id)
        if found is None:
            found = FeedbackRecord(
                id=new_id(),
                tenant_id=caller.tenant_id,
                message_id=body.message_id,
                principal_id=caller.principal_id,
                verdict=body.verdict.value,
            )
            session.add(found)
        _write(found, body, conversation, key)
        payload: dict[str, JsonValue] = {
            "message_id": str(body.message_id),
            "verdict": body.verdict.value,
        }
        record(session, caller.act("feedback.given", "feedback", found.id, payload))
        await session.flush()
    return _view(found, body.text, is_missing=False)


def _write(
    found: FeedbackRecord, body: NewFeedback, conversation: Conversation, key: TextKey
) -> None:
    source = body.expected_source
    found.verdict = body.verdict.value
    found.sealed_text = None
    if body.text is not None:
        words = SaidWords(text=body.text)
        found.sealed_text = seal(key, conversation, feedback_part(found.id), words)
    found.file_id = None if source is None else source.file_id
    found.page = None if source is None else source.page
    found.updated_at = now()


async def _answered(
    session: AsyncSession, caller: Caller, body: NewFeedback
) -> tuple[Conversation, ConversationMessage]:
    """Both locked: an erasure that begins afterwards finds what is said of the answer."""
    found = await feedback.answer_of(session, caller.principal_id, body.message_id)
    if found is None:
        raise NotFound("there is no such answer in a conversation of yours")
    answer, conversation = found
    if state_of(answer) is MessageState.GENERATING:
        raise Conflict("the answer is still being made", remedy="Say it when it is whole.")
    return conversation, answer


async def _require_source(session: AsyncSession, body: NewFeedback) -> None:
    source = body.expected_source
    if source is None:
        return
    if source.file_id not in await conversations.readable_names(session, [source.file_id]):
        raise Unprocessable(
            "`expected_source` names no file that you may read",
            remedy="Take the id of a file that is ready.",
        )


async def views(
    services: Services, caller: Caller, details: Sequence[FeedbackDetail]
) -> list[Feedback]:
    """What was said of an answer that the caller may not read now is not shown either: it may repeat it."""
    said = [each for each in details if each.feedback.sealed_text is not None]
    opened = await services.texts.try_words(
        [
            sealed(
                each.conversation, feedback_part(each.feedback.id), each.feedback.sealed_text or b""
            )
            for each in said
        ],
        SaidWords,
    )
    words = dict(zip((each.feedback.id for each in said), opened, strict=True))
    async with services.database.transaction(caller.access) as session:
        hidden = await conversations.hidden_messages(session, [e.answer.id for e in details])
        files = {each.feedback.file_id for each in details if each.feedback.file_id is not None}
        readable = await conversations.readable_names(session, files)
    shown: list[Feedback] = []
    for each in details:
        found = words.get(each.feedback.id)
        text = found.text if isinstance(found, SaidWords) else None
        view = _view(each.feedback, text, is_missing=isinstance(found, MunimentError))
        if each.answer.id in hidden:
            view = view.model_copy(update={"text": None, "text_missing": False})
        if each.feedback.file_id not in readable:
            view = view.model_copy(update={"expected_source": None})
        shown.append(view)
    return shown


def _view(found: FeedbackRecord, text: str | None, *, is_missing: bool) -> Feedback:
    source = None
    if found.file_id is not None:
        source = ExpectedSource(file_id=found.file_id, page=found.page)
    return Feedback(
        id=found.id,
        message_id=found.message_id,
        principal_id=found.principal_id,
        verdict=Verdict(found.verdict),
        text=text,
        text_missing=is_missing,
        expected_source=source,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


async def questions(
    services: Services, caller: Caller, details: Sequence[FeedbackDetail]
) -> list[EvaluationQuestion]:
    """Those of which is known what answers them: the files that a good answer cites, or the one that a wrong
    one should have been made of. As they were searched for, so that each stands by itself."""
    opened = await open_messages(
        services.texts, [(each.conversation, each.answer) for each in details]
    )
    relevant = {each.answer.id: _expected(each) for each in details}
    right = {each.answer.id for each in details if each.feedback.verdict == Verdict.UP}
    asked: dict[UUID, str] = {}
    for answer in opened:
        words = answer.answer
        if words is None or words.provenance is None:
            continue
        asked[answer.message.id] = words.provenance.asked[:MOST_CHARACTERS]
        if answer.message.id in right:
            relevant[answer.message.id] = {each.file_id for each in words.citations}
    async with services.database.transaction(caller.access) as session:
        hidden = await conversations.hidden_messages(session, list(asked))
        files = {file_id for named in relevant.values() for file_id in named}
        readable = await conversations.readable_names(session, files)
    return [
        EvaluationQuestion(
            id=str(message_id),
            text=text,
            relevant={str(file_id): 1 for file_id in sorted(relevant[message_id] & set(readable))},
        )
        for message_id, text in asked.items()
        if message_id not in hidden and relevant[message_id] & set(readable)
    ]


def _expected(detail: FeedbackDetail) -> set[UUID]:
    return set() if detail.feedback.file_id is None else {detail.feedback.file_id}


async def require_feedback(
    session: AsyncSession, caller: Caller, feedback_id: UUID
) -> FeedbackDetail:
    """What the caller gave."""
    found = await feedback.get_feedback(session, feedback_id, caller.principal_id)
    if found is None:
        raise NotFound("there is no such feedback")
    return found
