"""Words of conversations: sealed before they are written, opened outside of transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from db.models import Conversation, ConversationMessage
from muniment.contracts.base import Contract
from muniment.contracts.conversations import MessageRole, SaidWords
from muniment.errors import MunimentError
from muniment.objects import SealedText, SealedTexts
from muniment.objects.sealed_texts import conversation_place
from muniment.sealing import TextKey
from retrieval.kept_answers import AnswerWords

TITLE = "title"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class OpenedMessage:
    """`words` are null where there are none, or their key could not be had (`is_missing`)."""

    message: ConversationMessage
    words: SaidWords | AnswerWords | None
    is_missing: bool

    @property
    def text(self) -> str:
        return "" if self.words is None else self.words.text

    @property
    def answer(self) -> AnswerWords | None:
        return self.words if isinstance(self.words, AnswerWords) else None


def message_part(message_id: UUID) -> str:
    return f"message|{message_id}"


def feedback_part(feedback_id: UUID) -> str:
    return f"feedback|{feedback_id}"


def events_part(message_id: UUID, seq: int) -> str:
    return f"events|{message_id}|{seq}"


def seal(key: TextKey, conversation: Conversation, part: str, words: Contract) -> bytes:
    place = conversation_place(conversation.tenant_id, conversation.id, part)
    return key.seal(words.model_dump_json().encode(), place)


def sealed(conversation: Conversation, part: str, content: bytes) -> SealedText:
    place = conversation_place(conversation.tenant_id, conversation.id, part)
    return SealedText(conversation.tenant_id, conversation.key_id, place, content)


async def open_titles(
    texts: SealedTexts, conversations: Sequence[Conversation]
) -> list[str | MunimentError | None]:
    """Each title, None where there is none, or what kept it from being opened."""
    titled = [each for each in conversations if each.sealed_title is not None]
    opened = await texts.try_words(
        [sealed(each, TITLE, each.sealed_title or b"") for each in titled], SaidWords
    )
    titles = dict(zip((each.id for each in titled), opened, strict=True))
    found = [titles.get(each.id) for each in conversations]
    return [each.text if isinstance(each, SaidWords) else _told(each) for each in found]


async def open_messages(
    texts: SealedTexts, said: Sequence[tuple[Conversation, ConversationMessage]]
) -> list[OpenedMessage]:
    """In the order given. What cannot be opened stays closed, so that the others are shown."""
    questions = [each for each in said if _has_words(each[1], MessageRole.QUESTION)]
    answers = [each for each in said if _has_words(each[1], MessageRole.ANSWER)]
    words: dict[UUID, SaidWords | AnswerWords | MunimentError] = {}
    asked = await texts.try_words([_sealed_message(*each) for each in questions], SaidWords)
    words |= zip((message.id for _, message in questions), asked, strict=True)
    answered = await texts.try_words([_sealed_message(*each) for each in answers], AnswerWords)
    words |= zip((message.id for _, message in answers), answered, strict=True)
    return [_opened(message, words.get(message.id)) for _, message in said]


def _has_words(message: ConversationMessage, role: MessageRole) -> bool:
    return message.role == role and message.sealed is not None


def _sealed_message(conversation: Conversation, message: ConversationMessage) -> SealedText:
    return sealed(conversation, message_part(message.id), message.sealed or b"")


def _opened(
    message: ConversationMessage, words: SaidWords | AnswerWords | MunimentError | None
) -> OpenedMessage:
    if isinstance(words, MunimentError):
        _told(words)
        return OpenedMessage(message, None, is_missing=True)
    return OpenedMessage(message, words, is_missing=False)


def _told(error: MunimentError | None) -> MunimentError | None:
    if error is not None:
        _log.warning("conversation_not_unsealed", reason=error.problem)
    return error
