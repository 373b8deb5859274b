"""Which answer is followed, and whether anything of it is still to come."""

from uuid import UUID

from api.authentication import Caller
from api.conversations import service
from api.services import Services
from db.audit import record
from db.models import Conversation, ConversationMessage
from muniment.contracts.conversations import MessageRole, MessageState

_COUNTED = (MessageState.COMPLETED, MessageState.FAILED, MessageState.INTERRUPTED)
"""As it was written down with how many events there were: neither where the process ended, nor where the
answer was forgotten."""


async def answer_to_follow(
    services: Services, caller: Caller, conversation_id: UUID, message_id: UUID, after: int
) -> tuple[Conversation, ConversationMessage, bool]:
    """The conversation, its answer, and whether there is an event behind that one, or may be. Raises
    NotFound."""
    async with services.database.transaction(caller.access) as session:
        found = await service.require_conversation(session, caller, conversation_id)
        row = await service.require_message(session, found.id, message_id, MessageRole.ANSWER)
        record(session, caller.act("conversation.read", "conversation", found.id, {"messages": 1}))
    is_over = MessageState(row.state) in _COUNTED and after > row.event_count
    return found, row, not is_over
