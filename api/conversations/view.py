"""Conversations and messages from their rows and their opened words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from api.conversations.schemas import Conversation, Message, MessageProvenance, Source
from api.conversations.words import OpenedMessage
from db.models import Conversation as ConversationRecord
from db.models import ConversationMessage, now
from db.queries.conversations import Hidden
from muniment.contracts.conversations import MessageRole, MessageState, Verdict
from muniment.errors import MunimentError
from retrieval.kept_answers import Provenance

LONGEST_SILENCE = timedelta(seconds=20)
"""Whoever makes an answer says so every second: of one that is silent for so long the process has ended."""


@dataclass(frozen=True)
class Shown:
    """What the caller may see at this moment: not these messages; of passages, those of these files, by
    their names."""

    hidden: Hidden
    file_names: Mapping[UUID, str]
    verdicts: Mapping[UUID, Verdict]


def conversation_view(
    record: ConversationRecord, title: str | MunimentError | None
) -> Conversation:
    return Conversation(
        id=record.id,
        title=title if isinstance(title, str) else None,
        text_missing=isinstance(title, MunimentError),
        messages=record.message_count,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def message_view(opened: OpenedMessage, shown: Shown) -> Message:
    record = opened.message
    is_forgotten = record.id in shown.hidden.forgotten
    is_hidden = record.id in shown.hidden
    words = None if is_hidden else opened.words
    answer = None if is_hidden else opened.answer
    return Message(
        id=record.id,
        conversation_id=record.conversation_id,
        parent_id=record.parent_id,
        ordinal=record.ordinal,
        role=MessageRole(record.role),
        state=MessageState.FORGOTTEN if is_forgotten else state_of(record),
        text=None if words is None else words.text,
        withheld=record.id in shown.hidden.withheld,
        text_missing=opened.is_missing and not is_hidden,
        citations=[] if answer is None else [*answer.citations],
        provenance=None if answer is None else _provenance(answer.provenance, shown.file_names),
        feedback=shown.verdicts.get(record.id),
        created_at=record.created_at,
    )


def state_of(record: ConversationMessage) -> MessageState:
    state = MessageState(record.state)
    if state is not MessageState.GENERATING or record.alive_at is None:
        return state
    return state if now() - record.alive_at < LONGEST_SILENCE else MessageState.INTERRUPTED


def _provenance(
    kept: Provenance | None, file_names: Mapping[UUID, str]
) -> MessageProvenance | None:
    if kept is None:
        return None
    sources = [
        Source(**source.model_dump(), name=file_names[source.file_id])
        for source in kept.sources
        if source.file_id in file_names
    ]
    return MessageProvenance(**kept.model_dump(exclude={"sources"}), sources=sources)
