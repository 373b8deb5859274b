"""A question in a conversation: put in its context, searched for, and answered beside the request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.conversations import service
from api.conversations.schemas import MAX_TITLE_CHARACTERS, AskingAgain
from api.conversations.under_way import AnswerUnderWay, Place
from api.conversations.words import TITLE, message_part, open_messages, seal
from api.idempotency import Answer as Repeatable
from api.idempotency import Attempt
from api.services import Services
from db.audit import record
from db.models import Conversation, ConversationMessage, new_id, now
from db.queries import conversations
from db.queries.analytics import QueryKind
from muniment.contracts.conversations import MessageRole, MessageState, SaidWords
from muniment.errors import Conflict, KeyManagementUnavailable, TooManyRequests
from muniment.sealing import TextKey
from retrieval.answer import AnswerInTheMaking
from retrieval.answer_extractive import Pages
from retrieval.cited_pages import PageReaders
from retrieval.follow_up_writing import FormerQuestion
from retrieval.follow_ups import MOST_FORMER, RULE, in_context
from retrieval.request import MAX_QUERY_CHARACTERS, Generate
from retrieval.response import Answer


@dataclass(frozen=True)
class Asked:
    """What is asked where: behind the newest answer, in the place of the question `edits`, behind the answer
    `follows`, or, without any words, the question `again` once more."""

    conversation_id: UUID
    query: str | None = None
    edits: UUID | None = None
    follows: UUID | None = None
    again: UUID | None = None


@dataclass(frozen=True)
class _Found:
    """`former`: the questions that it goes on from, oldest first, and `answers` those by which it does, by
    their questions. `question`: the one that is asked once more."""

    conversation: Conversation
    parent_id: UUID | None
    former: Sequence[ConversationMessage]
    answers: Mapping[UUID, UUID]
    question: ConversationMessage | None

    @property
    def again(self) -> UUID | None:
        return None if self.question is None else self.question.id


@dataclass(frozen=True)
class _Put:
    """The question in words, and as it is searched for."""

    words: str
    asked: str
    rewritten_by: str | None


async def ask(
    services: Services, caller: Caller, asked: Asked, how: AskingAgain, attempt: Attempt
) -> AnswerUnderWay:
    """The answer under way, whose question and place are committed. Raises NotFound for what is not in the
    caller's conversation, TooManyRequests where it may hold no more, Conflict where a passage went out of
    reach meanwhile, and what Answerer.prepare raises."""
    # Before anything is written down: a question that is refused must not stand in the conversation.
    services.under_way.reserve(caller.tenant_id)
    try:
        answer = await _prepare(services, caller, asked, how, attempt)
    except BaseException:
        services.under_way.release(caller.tenant_id)
        raise
    services.under_way.begin(answer)
    return answer


async def _prepare(
    services: Services, caller: Caller, asked: Asked, how: AskingAgain, attempt: Attempt
) -> AnswerUnderWay:
    began = perf_counter()
    async with services.database.transaction(caller.access) as session:
        found = await _find(session, services, caller, asked)
    key = await services.texts.key(caller.tenant_id, found.conversation.key_id)
    put = await _put(services, caller, found, asked, how)
    readers = PageReaders(services.database, services.blobs, caller.access)
    prepared = await services.answers.prepare(
        caller.access, how.question(put.asked), Pages(readers.text, readers.lines)
    )
    try:
        place = await _place(services, caller, found, key, put, prepared, attempt)
    except BaseException:
        await prepared.close()
        raise

    def note(answer: Answer) -> None:
        milliseconds = (perf_counter() - began) * 1000
        found = len(answer.citations)
        services.queries.note(caller.tenant_id, QueryKind.QUESTION, put.words, found, milliseconds)

    return AnswerUnderWay(
        services.database,
        place,
        prepared,
        note,
        is_whole=not how.stream,
        resume_seconds=services.conversations.resume_seconds,
    )


async def _find(session: AsyncSession, services: Services, caller: Caller, asked: Asked) -> _Found:
    conversation = await service.require_conversation(session, caller, asked.conversation_id)
    await _require_room(session, services, conversation)
    question = None
    if asked.again is not None:
        question = await _question_of(session, conversation, asked.again)
        parent_id = question.parent_id
    elif asked.edits is not None:
        edited = await service.require_message(
            session, conversation.id, asked.edits, MessageRole.QUESTION
        )
        parent_id = edited.parent_id
    elif asked.follows is not None:
        await service.require_message(session, conversation.id, asked.follows, MessageRole.ANSWER)
        parent_id = asked.follows
    else:
        parent_id = await conversations.newest_answer(session, conversation.id)
    former: list[ConversationMessage] = []
    answers: dict[UUID, UUID] = {}
    if parent_id is not None:
        path = await conversations.path_to(session, parent_id, 2 * MOST_FORMER)
        former = [each for each in reversed(path) if each.role == MessageRole.QUESTION]
        answers = {each.parent_id: each.id for each in path if each.parent_id is not None}
    return _Found(conversation, parent_id, former, answers, question)


async def _question_of(
    session: AsyncSession, conversation: Conversation, message_id: UUID
) -> ConversationMessage:
    """The question, or the one that it answers."""
    found = await service.require_message(session, conversation.id, message_id)
    if found.role == MessageRole.ANSWER and found.parent_id is not None:
        return await service.require_message(session, conversation.id, found.parent_id)
    return found


async def _require_room(
    session: AsyncSession, services: Services, conversation: Conversation
) -> None:
    limits = services.conversations
    if conversation.message_count + 2 > limits.messages:
        raise TooManyRequests(
            f"the conversation has {conversation.message_count} messages, and may not have more",
            remedy="Begin another conversation.",
        )
    if (await conversations.kept_of_tenant(session)).size_bytes >= limits.size_bytes:
        raise TooManyRequests(
            "the tenant's conversations take as much room as they may",
            remedy="Delete conversations that are not needed, or ask the operator for more.",
        )


async def _put(
    services: Services, caller: Caller, found: _Found, asked: Asked, how: AskingAgain
) -> _Put:
    """In its context, by a language model where one may be asked and says it in time, else by the rule.
    Nothing but questions of the caller's is looked at: no words of documents go on into the next
    question. What cannot be opened does not take part."""
    said = [*found.former, *([found.question] if found.question is not None else [])]
    opened = await open_messages(services.texts, [(found.conversation, each) for each in said])
    query = asked.query if found.question is None else opened.pop().text
    if not query:
        raise KeyManagementUnavailable("the question cannot be opened now")
    writer = services.follow_ups
    # An answer that is given once more may have been made of what no model may be told of now.
    may_be_told = found.question is None and how.generate is not Generate.EXTRACTIVE
    if writer is not None and may_be_told:
        answered = [
            FormerQuestion(each.text, found.answers[each.message.id])
            for each in opened
            if each.text and each.message.id in found.answers
        ]
        written = await writer.write(caller.access, query, answered, how.collection)
        if written is not None:
            return _Put(query, written.question, written.by)
    former = [each.text for each in opened if each.text]
    rewritten = in_context(query, former)
    if rewritten is None or len(rewritten) > MAX_QUERY_CHARACTERS:
        return _Put(query, query, None)
    return _Put(query, rewritten, RULE)


async def _place(
    services: Services,
    caller: Caller,
    found: _Found,
    key: TextKey,
    put: _Put,
    prepared: AnswerInTheMaking,
    attempt: Attempt,
) -> Place:
    """Writes down what was asked, and what the answer may quote, before a word of it is made."""
    conversation_id = found.conversation.id
    async with services.database.transaction(caller.access) as session:
        conversation = await service.require_conversation(
            session, caller, conversation_id, for_update=True
        )
        await _require_room(session, services, conversation)
        question_id = found.again
        if question_id is None:
            question_id = await _add_question(session, conversation, found.parent_id, key, put)
        answer = _message(conversation, MessageRole.ANSWER, question_id)
        answer.state, answer.alive_at = MessageState.GENERATING.value, now()
        await conversations.add_message(session, conversation, answer)
        files = {hit.file_id for hit in prepared.passages}
        if not await conversations.add_sources(session, answer, files):
            raise Conflict(
                "a passage went out of reach while the question was looked up",
                remedy="Ask again.",
            )
        act = caller.act("query.answered", "conversation", conversation_id, {"found": len(files)})
        record(session, act)
        named = {"conversation_id": str(conversation_id), "message_id": str(answer.id)}
        await attempt.complete(session, Repeatable(200, {**named}))
    return Place(
        caller.access, conversation, key, question_id, answer.id, put.asked, put.rewritten_by
    )


async def _add_question(
    session: AsyncSession,
    conversation: Conversation,
    parent_id: UUID | None,
    key: TextKey,
    put: _Put,
) -> UUID:
    question = _message(conversation, MessageRole.QUESTION, parent_id)
    words = SaidWords(text=put.words)
    question.sealed = seal(key, conversation, message_part(question.id), words)
    await conversations.add_message(session, conversation, question)
    if conversation.sealed_title is None:
        title = SaidWords(text=" ".join(put.words.split())[:MAX_TITLE_CHARACTERS])
        conversation.sealed_title = seal(key, conversation, TITLE, title)
    return question.id


def _message(
    conversation: Conversation, role: MessageRole, parent_id: UUID | None
) -> ConversationMessage:
    """To be added, which gives it its number."""
    return ConversationMessage(
        id=new_id(),
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        parent_id=parent_id,
        ordinal=conversation.message_count,
        role=role.value,
        state=MessageState.COMPLETED.value,
    )
