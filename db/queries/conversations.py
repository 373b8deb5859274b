"""Conversations of one principal: rows whose words are sealed, and what their answers were made of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, Conversation, ConversationMessage, MessageSource, now
from db.queries.search import CURRENT_VERSIONS
from muniment.contracts.conversations import MessageRole, MessageState
from muniment.contracts.language_models import ModelUse
from muniment.objects import SealedBlob

KEY_KIND = "conversation-key"
FORGOTTEN_AT_ONCE = 500
MESSAGES_AT_ONCE = 5_000


@dataclass(frozen=True)
class Kept:
    """What a tenant has of conversations."""

    conversations: int
    messages: int
    size_bytes: int


async def add_conversation(
    session: AsyncSession, conversation: Conversation, sealed: SealedBlob
) -> None:
    """With its text key, which is verified in its turn as other blobs are, and never shared."""
    session.add(
        Blob(
            id=sealed.blob_id,
            tenant_id=conversation.tenant_id,
            kind=KEY_KIND,
            size=sealed.size,
            sha256=sealed.sha256,
            created_at=now(),
        )
    )
    session.add(conversation)
    await session.flush()


async def get_conversation(
    session: AsyncSession, principal_id: UUID, conversation_id: UUID, *, for_update: bool = False
) -> Conversation | None:
    """None where it is another principal's."""
    statement = select(Conversation).where(
        col(Conversation.id) == conversation_id, col(Conversation.principal_id) == principal_id
    )
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def list_conversations(
    session: AsyncSession,
    principal_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[Conversation]:
    """The principal's, newest first."""
    statement = (
        select(Conversation)
        .where(col(Conversation.principal_id) == principal_id)
        .order_by(col(Conversation.created_at).desc(), col(Conversation.id).desc())
        .limit(limit)
    )
    if after is not None:
        key = tuple_(col(Conversation.created_at), col(Conversation.id))
        statement = statement.where(key < after)
    return (await session.scalars(statement)).all()


async def kept_of_tenant(session: AsyncSession) -> Kept:
    row = (
        await session.execute(
            select(
                func.count(),
                func.coalesce(func.sum(col(Conversation.message_count)), 0),
                func.coalesce(func.sum(col(Conversation.size_bytes)), 0),
            )
        )
    ).one()
    return Kept(int(row[0]), int(row[1]), int(row[2]))


async def delete_conversation(session: AsyncSession, conversation: Conversation) -> None:
    """With its messages. Its key is marked, so that the workers' sweep destroys it where its owner does not
    come to it."""
    await session.execute(
        text("UPDATE blob SET destroyed_at = coalesce(destroyed_at, now()) WHERE id = :key_id"),
        {"key_id": conversation.key_id},
    )
    await session.execute(delete(Conversation).where(col(Conversation.id) == conversation.id))


async def forget_older(
    session: AsyncSession, kept: timedelta | None, max_messages: int = MESSAGES_AT_ONCE
) -> int:
    """Of the tenant, a part of those that nobody wrote to for so long, and of those whose principal was
    deleted; how many, 0 when none is left. With None none is too old. The part ends with the conversation
    that brings it to `max_messages`, so that it is done within the time of a statement."""
    rows = await session.execute(
        text(
            """
            WITH candidate AS (
                SELECT conversation.id, conversation.key_id, conversation.updated_at,
                       conversation.message_count
                FROM conversation JOIN principal ON principal.id = conversation.principal_id
                WHERE principal.deleted_at IS NOT NULL
                   OR conversation.updated_at < now() - CAST(:kept AS interval)
                ORDER BY conversation.updated_at LIMIT :max_rows
                FOR UPDATE OF conversation SKIP LOCKED
            ),
            spent AS (
                SELECT id, key_id FROM (
                    SELECT id, key_id, sum(message_count) OVER (
                        ORDER BY updated_at, id ROWS UNBOUNDED PRECEDING
                    ) - message_count AS messages_before
                    FROM candidate
                ) AS counted
                WHERE messages_before < :max_messages
            ),
            marked AS (
                UPDATE blob SET destroyed_at = coalesce(destroyed_at, now())
                WHERE id IN (SELECT key_id FROM spent)
            )
            DELETE FROM conversation WHERE id IN (SELECT id FROM spent) RETURNING id
            """
        ),
        {"kept": kept, "max_rows": FORGOTTEN_AT_ONCE, "max_messages": max_messages},
    )
    return len(rows.all())


# ── messages ────────────────────────────────────────────────────────────────────────────────────


async def add_message(
    session: AsyncSession, conversation: Conversation, message: ConversationMessage
) -> None:
    """As the next one of a conversation that is locked."""
    message.ordinal = conversation.message_count
    conversation.message_count += 1
    conversation.size_bytes += len(message.sealed or b"")
    conversation.updated_at = now()
    session.add(message)
    await session.flush()


async def get_message(
    session: AsyncSession, conversation_id: UUID, message_id: UUID
) -> ConversationMessage | None:
    """Of a conversation that was found to be the caller's."""
    statement = select(ConversationMessage).where(
        col(ConversationMessage.id) == message_id,
        col(ConversationMessage.conversation_id) == conversation_id,
    )
    return (await session.scalars(statement)).one_or_none()


async def newest_answer(session: AsyncSession, conversation_id: UUID) -> UUID | None:
    """Behind which a question goes that names no other place."""
    return await session.scalar(
        select(col(ConversationMessage.id))
        .where(
            col(ConversationMessage.conversation_id) == conversation_id,
            col(ConversationMessage.role) == MessageRole.ANSWER.value,
        )
        .order_by(col(ConversationMessage.ordinal).desc())
        .limit(1)
    )


async def list_messages(
    session: AsyncSession, conversation_id: UUID, *, limit: int, before: int | None = None
) -> Sequence[ConversationMessage]:
    """Newest first, those with a smaller ordinal than `before`."""
    statement = (
        select(ConversationMessage)
        .where(col(ConversationMessage.conversation_id) == conversation_id)
        .order_by(col(ConversationMessage.ordinal).desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(col(ConversationMessage.ordinal) < before)
    return (await session.scalars(statement)).all()


async def messages_from(
    session: AsyncSession, conversation_id: UUID, first: int, max_rows: int
) -> Sequence[ConversationMessage]:
    """In their order, from that ordinal on."""
    statement = (
        select(ConversationMessage)
        .where(
            col(ConversationMessage.conversation_id) == conversation_id,
            col(ConversationMessage.ordinal) >= first,
        )
        .order_by(col(ConversationMessage.ordinal))
        .limit(max_rows)
    )
    return (await session.scalars(statement)).all()


async def path_to(
    session: AsyncSession, message_id: UUID, max_rows: int
) -> Sequence[ConversationMessage]:
    """The message and what it follows, the newest first."""
    rows = await session.scalars(
        text(
            """
            WITH RECURSIVE path AS (
                SELECT id, parent_id, 1 AS place FROM conversation_message WHERE id = :message_id
                UNION ALL
                SELECT before.id, before.parent_id, path.place + 1
                FROM conversation_message before JOIN path ON before.id = path.parent_id
                WHERE path.place < :max_rows
            )
            SELECT id FROM path ORDER BY place
            """
        ),
        {"message_id": message_id, "max_rows": max_rows},
    )
    ids = list(rows)
    found = await session.scalars(
        select(ConversationMessage).where(col(ConversationMessage.id).in_(ids))
    )
    by_id = {message.id: message for message in found}
    return [by_id[each] for each in ids if each in by_id]


async def parents_of(session: AsyncSession, conversation_id: UUID) -> dict[UUID, UUID | None]:
    """Of every message, in their order."""
    rows = await session.execute(
        select(col(ConversationMessage.id), col(ConversationMessage.parent_id))
        .where(col(ConversationMessage.conversation_id) == conversation_id)
        .order_by(col(ConversationMessage.ordinal))
    )
    return {row.id: row.parent_id for row in rows}


# ── what answers were made of ───────────────────────────────────────────────────────────────────

_READY = f"""
    SELECT file.id, file.name {CURRENT_VERSIONS} AND file.id = ANY (CAST(:file_ids AS uuid[]))
"""
_HIDDEN = text(
    f"""
    SELECT source.message_id AS id, false AS is_forgotten FROM message_source source
    WHERE source.message_id = ANY (CAST(:message_ids AS uuid[])) AND source.has_words
      AND NOT EXISTS (SELECT 1 {CURRENT_VERSIONS} AND file.id = source.file_id)
    UNION
    SELECT asked.id, true FROM unnest(CAST(:message_ids AS uuid[])) AS asked (id)
    WHERE NOT EXISTS (
        SELECT 1 FROM conversation_message message
        WHERE message.id = asked.id AND message.state <> 'forgotten'
    )
    """  # noqa: S608 - made of a constant
)
_USES = text(
    f"""
    SELECT source.message_id,
           array_agg(DISTINCT coalesce(collection.language_models, 'none')) AS uses
    FROM message_source source
    LEFT JOIN (SELECT file.id, file.collection_id {CURRENT_VERSIONS}) AS shown
        ON shown.id = source.file_id
    LEFT JOIN collection ON collection.id = shown.collection_id
    WHERE source.message_id = ANY (CAST(:message_ids AS uuid[]))
    GROUP BY source.message_id
    """  # noqa: S608 - made of a constant
)


@dataclass(frozen=True)
class Hidden:
    """Messages that may not be shown at this moment: those that may say what the caller may not read
    (`withheld`), and those that were forgotten or deleted."""

    withheld: frozenset[UUID]
    forgotten: frozenset[UUID]

    def __contains__(self, message_id: UUID) -> bool:
        return message_id in self.withheld or message_id in self.forgotten


async def hidden_messages(session: AsyncSession, message_ids: Collection[UUID]) -> Hidden:
    """In one statement: an erasure takes away the sources by which an answer is withheld, so whoever has read
    its words before must be told here that they are forgotten."""
    if not message_ids:
        return Hidden(frozenset(), frozenset())
    rows = (await session.execute(_HIDDEN, {"message_ids": list(message_ids)})).all()
    forgotten = frozenset(row.id for row in rows if row.is_forgotten)
    return Hidden(frozenset(row.id for row in rows) - forgotten, forgotten)


async def readable_names(session: AsyncSession, file_ids: Collection[UUID]) -> dict[UUID, str]:
    """What those among them are called that the caller may read at this moment."""
    if not file_ids:
        return {}
    rows = await session.execute(text(_READY), {"file_ids": list(file_ids)})
    return {row.id: row.name for row in rows}


async def uses_of_sources(
    session: AsyncSession, message_ids: Collection[UUID]
) -> dict[UUID, frozenset[ModelUse]]:
    """What the collections let models read of the files that these answers were made of; NONE where the
    caller may not read one at this moment. Answers that were made of no file are not among them."""
    if not message_ids:
        return {}
    rows = await session.execute(_USES, {"message_ids": list(message_ids)})
    return {row.message_id: frozenset(ModelUse(each) for each in row.uses) for row in rows}


async def add_sources(
    session: AsyncSession, message: ConversationMessage, file_ids: Collection[UUID]
) -> bool:
    """Notes what the answer may quote. False where the caller may not read one of them any more. The files
    are held as they are until the transaction ends: an erasure that begins afterwards finds the message."""
    await session.execute(
        text("SELECT 1 FROM file WHERE id = ANY (CAST(:file_ids AS uuid[])) ORDER BY id FOR SHARE"),
        {"file_ids": list(file_ids)},
    )
    if set(await readable_names(session, file_ids)) != set(file_ids):
        return False
    session.add_all(
        MessageSource(
            message_id=message.id, file_id=file_id, tenant_id=message.tenant_id, has_words=True
        )
        for file_id in sorted(file_ids)
    )
    await session.flush()
    return True


async def finish_answer(
    session: AsyncSession,
    message_id: UUID,
    state: MessageState,
    sealed: bytes | None,
    quoted: Collection[UUID] | None,
    event_count: int,
) -> MessageState:
    """The state that it has now: FORGOTTEN where it was forgotten or deleted meanwhile, and that in which it
    had ended already. `quoted`: the files whose words are in it, where these are fewer than what was read."""
    # The conversation first, as whoever asks or deletes.
    await session.execute(
        text(
            "SELECT 1 FROM conversation WHERE id = (SELECT conversation_id FROM"
            " conversation_message WHERE id = :message_id) FOR UPDATE"
        ),
        {"message_id": message_id},
    )
    changed = await session.scalar(
        text(
            "UPDATE conversation_message SET state = :state, sealed = :sealed, alive_at = NULL,"
            " event_count = :event_count WHERE id = :message_id AND state = 'generating'"
            " RETURNING conversation_id"
        ),
        {
            "message_id": message_id,
            "state": state.value,
            "sealed": sealed,
            "event_count": event_count,
        },
    )
    if changed is None:
        had = await session.scalar(
            text("SELECT state FROM conversation_message WHERE id = :message_id"),
            {"message_id": message_id},
        )
        return MessageState.FORGOTTEN if had is None else MessageState(had)
    await session.execute(
        text(
            "UPDATE conversation SET size_bytes = size_bytes + :size, updated_at = now()"
            " WHERE id = :conversation_id"
        ),
        {"size": len(sealed or b""), "conversation_id": changed},
    )
    if quoted is not None:
        await session.execute(
            text(
                "UPDATE message_source SET has_words = false WHERE message_id = :message_id"
                " AND file_id <> ALL (CAST(:quoted AS uuid[]))"
            ),
            {"message_id": message_id, "quoted": list(quoted)},
        )
    return state
