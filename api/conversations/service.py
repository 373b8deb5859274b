"""Conversations: made, changed, deleted, shown. A conversation is its principal's alone."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.conversations.schemas import Conversation, ConversationChange, Message
from api.conversations.view import Shown, conversation_view, message_view
from api.conversations.words import (
    TITLE,
    OpenedMessage,
    open_messages,
    open_titles,
    seal,
)
from api.files.discarding import discard_blob
from api.preconditions import require_match
from api.services import Services
from db.audit import record
from db.models import Conversation as ConversationRecord
from db.models import ConversationMessage, new_id, now
from db.queries import conversations, feedback
from muniment.contracts.conversations import MessageRole, SaidWords
from muniment.errors import MunimentError, NotFound, TooManyRequests
from muniment.objects import NewTextKey

LEFT_BEHIND = "an unused key of a conversation was left behind"


def entity_tag(conversation: ConversationRecord) -> str:
    """Of what its owner changes: that messages come is no change."""
    return f'"{conversation.revision}"'


async def require_conversation(
    session: AsyncSession, caller: Caller, conversation_id: UUID, *, for_update: bool = False
) -> ConversationRecord:
    """NotFound for another principal's, also of the same tenant."""
    found = await conversations.get_conversation(
        session, caller.principal_id, conversation_id, for_update=for_update
    )
    if found is None:
        raise NotFound("there is no such conversation")
    return found


async def require_message(
    session: AsyncSession,
    conversation_id: UUID,
    message_id: UUID,
    role: MessageRole | None = None,
) -> ConversationMessage:
    """Of a conversation that was found to be the caller's."""
    found = await conversations.get_message(session, conversation_id, message_id)
    if found is None or (role is not None and found.role != role):
        raise NotFound(f"there is no such {role or 'message'} in the conversation")
    return found


def new_conversation(caller: Caller, key: NewTextKey, title: str | None) -> ConversationRecord:
    made = ConversationRecord(
        id=new_id(),
        tenant_id=caller.tenant_id,
        principal_id=caller.principal_id,
        key_id=key.blob.blob_id,
    )
    if title is not None:
        made.sealed_title = seal(key.key, made, TITLE, SaidWords(text=title))
    return made


async def create(
    session: AsyncSession,
    services: Services,
    caller: Caller,
    made: ConversationRecord,
    key: NewTextKey,
) -> None:
    """Raises TooManyRequests where the tenant has as many as it may."""
    kept = await conversations.kept_of_tenant(session)
    if kept.conversations >= services.conversations.conversations:
        raise TooManyRequests(
            f"the tenant has {kept.conversations} conversations, and may not have more",
            remedy="Delete conversations that are not needed.",
        )
    await conversations.add_conversation(session, made, key.blob)
    record(session, caller.act("conversation.created", "conversation", made.id))


async def new_key(services: Services, caller: Caller) -> NewTextKey:
    return await services.texts.make_key(caller.tenant_id)


async def discard(services: Services, caller: Caller, key: NewTextKey) -> None:
    """Of a conversation that was not made after all."""
    await asyncio.shield(discard_blob(services, caller.access, key.blob, LEFT_BEHIND))


async def change(
    services: Services,
    caller: Caller,
    if_match: str | None,
    conversation_id: UUID,
    body: ConversationChange,
) -> ConversationRecord:
    async with services.database.transaction(caller.access) as session:
        found = await require_conversation(session, caller, conversation_id)
    key = await services.texts.key(caller.tenant_id, found.key_id)
    title = seal(key, found, TITLE, SaidWords(text=body.title))
    async with services.database.transaction(caller.access) as session:
        found = await require_conversation(session, caller, conversation_id, for_update=True)
        require_match(if_match, entity_tag(found))
        found.sealed_title = title
        found.revision += 1
        found.updated_at = now()
        record(session, caller.act("conversation.changed", "conversation", found.id))
        await session.flush()
    return found


async def delete(services: Services, caller: Caller, conversation_id: UUID) -> None:
    """With its messages, and the key that opens them."""
    async with services.database.transaction(caller.access) as session:
        found = await require_conversation(session, caller, conversation_id, for_update=True)
        record(session, caller.act("conversation.deleted", "conversation", found.id))
        await conversations.delete_conversation(session, found)
    try:
        await services.blobs.destroy(caller.tenant_id, found.key_id)
    except MunimentError:
        # It is marked: the workers' sweep comes to it.
        return


async def titled(services: Services, rows: Sequence[ConversationRecord]) -> list[Conversation]:
    titles = await open_titles(services.texts, rows)
    return [conversation_view(row, title) for row, title in zip(rows, titles, strict=True)]


async def messages_shown(
    services: Services,
    caller: Caller,
    conversation: ConversationRecord,
    rows: Sequence[ConversationMessage],
    action: str | None,
) -> list[Message]:
    """What the caller may read of them now: that is asked after everything else. `action` is what the audit
    trail calls it."""
    opened = await open_messages(services.texts, [(conversation, row) for row in rows])
    async with services.database.transaction(caller.access) as session:
        shown = await what_is_shown(session, opened)
        if action is not None:
            payload = {"messages": len(rows)}
            record(session, caller.act(action, "conversation", conversation.id, {**payload}))
    return [message_view(each, shown) for each in opened]


async def what_is_shown(session: AsyncSession, opened: Sequence[OpenedMessage]) -> Shown:
    ids = [each.message.id for each in opened]
    answers = [each.answer for each in opened if each.answer is not None]
    read = {
        source.file_id
        for answer in answers
        if answer.provenance is not None
        for source in answer.provenance.sources
    }
    return Shown(
        hidden=await conversations.hidden_messages(session, ids),
        file_names=await conversations.readable_names(session, read),
        verdicts=await feedback.verdicts_of(session, ids),
    )
