"""What people think of answers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Conversation, ConversationMessage, Feedback
from muniment.contracts.conversations import Verdict


@dataclass(frozen=True)
class FeedbackDetail:
    """With the answer that it is of, and the conversation whose key opens both."""

    feedback: Feedback
    answer: ConversationMessage
    conversation: Conversation


async def verdicts_of(session: AsyncSession, message_ids: Collection[UUID]) -> dict[UUID, Verdict]:
    """By answer."""
    rows = await session.execute(
        select(col(Feedback.message_id), col(Feedback.verdict)).where(
            col(Feedback.message_id).in_(message_ids)
        )
    )
    return {row.message_id: Verdict(row.verdict) for row in rows}


async def of_message(session: AsyncSession, message_id: UUID) -> Feedback | None:
    """To be changed."""
    statement = select(Feedback).where(col(Feedback.message_id) == message_id).with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def answer_of(
    session: AsyncSession, principal_id: UUID, message_id: UUID
) -> tuple[ConversationMessage, Conversation] | None:
    """An answer of one of the principal's conversations; both are locked, the conversation first, as whoever
    ends an answer does."""
    conversation = await session.scalar(
        select(Conversation)
        .join(ConversationMessage, col(Conversation.id) == col(ConversationMessage.conversation_id))
        .where(
            col(ConversationMessage.id) == message_id,
            col(ConversationMessage.role) == "answer",
            col(Conversation.principal_id) == principal_id,
        )
        .with_for_update(of=Conversation)
    )
    if conversation is None:
        return None
    answer = await session.scalar(
        select(ConversationMessage)
        .where(col(ConversationMessage.id) == message_id)
        .with_for_update(read=True)
    )
    return None if answer is None else (answer, conversation)


async def get_feedback(
    session: AsyncSession, feedback_id: UUID, principal_id: UUID
) -> FeedbackDetail | None:
    """None where another principal gave it."""
    row = (
        await session.execute(_details(principal_id).where(col(Feedback.id) == feedback_id))
    ).one_or_none()
    return None if row is None else FeedbackDetail(*row)


async def list_feedback(
    session: AsyncSession,
    principal_id: UUID | None,
    verdict: Verdict | None,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[FeedbackDetail]:
    """Newest first."""
    statement = (
        _details(principal_id)
        .order_by(col(Feedback.created_at).desc(), col(Feedback.id).desc())
        .limit(limit)
    )
    if verdict is not None:
        statement = statement.where(col(Feedback.verdict) == verdict.value)
    if after is not None:
        statement = statement.where(tuple_(col(Feedback.created_at), col(Feedback.id)) < after)
    return [FeedbackDetail(*row) for row in await session.execute(statement)]


async def delete_feedback(session: AsyncSession, feedback_id: UUID) -> None:
    await session.execute(delete(Feedback).where(col(Feedback.id) == feedback_id))


def _details(
    principal_id: UUID | None,
) -> Select[Feedback, ConversationMessage, Conversation]:
    statement = (
        select(Feedback, ConversationMessage, Conversation)
        .join(ConversationMessage, col(ConversationMessage.id) == col(Feedback.message_id))
        .join(Conversation, col(Conversation.id) == col(ConversationMessage.conversation_id))
    )
    if principal_id is not None:
        statement = statement.where(col(Feedback.principal_id) == principal_id)
    return statement
