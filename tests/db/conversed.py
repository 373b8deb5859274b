"""A row in every table of conversations, whose text key is a blob."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    AnswerEvent,
    Blob,
    Conversation,
    ConversationMessage,
    Feedback,
    MessageSource,
    new_id,
)
from db.queries.conversations import KEY_KIND
from tests.conftest import TenantFixture


async def add_conversation(session: AsyncSession, tenant: TenantFixture, file_id: UUID) -> None:
    key = Blob(id=new_id(), tenant_id=tenant.tenant_id, kind=KEY_KIND, size=32, sha256=b"")
    conversation = Conversation(
        tenant_id=tenant.tenant_id, principal_id=tenant.principal_id, key_id=key.id
    )
    of_conversation = {"tenant_id": tenant.tenant_id, "conversation_id": conversation.id}
    question = ConversationMessage(
        ordinal=0, role="question", state="completed", sealed=b"x", **of_conversation
    )
    answer = ConversationMessage(
        ordinal=1, role="answer", state="completed", parent_id=question.id, **of_conversation
    )
    of_answer = {"tenant_id": tenant.tenant_id, "message_id": answer.id}
    for rows in (
        [key],
        [conversation],
        [question],
        [answer],
        [
            MessageSource(file_id=file_id, has_words=True, **of_answer),
            AnswerEvent(seq=1, sealed=b"x", **of_answer),
            Feedback(principal_id=tenant.principal_id, verdict="up", **of_answer),
        ],
    ):
        session.add_all(rows)
        await session.flush()
