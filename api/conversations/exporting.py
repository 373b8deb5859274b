"""A conversation as a file: JSON with every message, or Markdown of what was said last."""

import re
from collections.abc import AsyncGenerator
from uuid import UUID

from api.authentication import Caller
from api.conversations import service
from api.conversations.schemas import Conversation, Message
from api.services import Services
from db.models import Conversation as ConversationRecord
from db.queries import conversations
from muniment.contracts.conversations import MessageRole

AT_ONCE = 50
"""Messages that are in memory together."""

_MARKUP = re.compile(r"[\\`*_{}\[\]()<>#!|~&:]")

NOT_SHOWN = "*This answer is not shown: it may quote a file that you may not read now.*"
NOT_MADE = "*There is no answer.*"


async def as_json(
    services: Services, caller: Caller, conversation: ConversationRecord
) -> AsyncGenerator[bytes, None]:
    """An object with `conversation` and `messages`, in the order in which they were said."""
    (head,) = await service.titled(services, [conversation])
    yield b'{"conversation": ' + head.model_dump_json().encode() + b', "messages": ['
    separator = b"\n"
    async for message in _messages(services, caller, conversation):
        yield separator + message.model_dump_json().encode()
        separator = b",\n"
    yield b"\n]}\n"


async def as_markdown(
    services: Services, caller: Caller, conversation: ConversationRecord
) -> AsyncGenerator[bytes, None]:
    """The newest message and what it follows: neither questions that were edited since, nor answers that were
    made anew."""
    (head,) = await service.titled(services, [conversation])
    async with services.database.transaction(caller.access) as session:
        parents = await conversations.parents_of(session, conversation.id)
    path = _newest_path(parents)
    yield _heading(head).encode()
    async for message in _messages(services, caller, conversation):
        if message.id in path:
            yield _section(message).encode()


async def _messages(
    services: Services, caller: Caller, conversation: ConversationRecord
) -> AsyncGenerator[Message, None]:
    """What may be shown of each is asked as it is read."""
    first = 0
    while True:
        async with services.database.transaction(caller.access) as session:
            rows = await conversations.messages_from(session, conversation.id, first, AT_ONCE)
        for message in await service.messages_shown(services, caller, conversation, rows, None):
            yield message
        if len(rows) < AT_ONCE:
            return
        first = rows[-1].ordinal + 1


def _newest_path(parents: dict[UUID, UUID | None]) -> set[UUID]:
    path: set[UUID] = set()
    place = next(reversed(parents), None)
    while place is not None:
        path.add(place)
        place = parents.get(place)
    return path


def _heading(conversation: Conversation) -> str:
    title = " ".join((conversation.title or "Conversation").split())
    return f"# {title}\n\n{conversation.created_at:%Y-%m-%d %H:%M} UTC\n"


def _section(message: Message) -> str:
    if message.role is MessageRole.QUESTION:
        return f"\n## {message.created_at:%Y-%m-%d %H:%M} UTC\n\n{_quoted(message.text or '…')}\n"
    if message.withheld:
        return f"\n{NOT_SHOWN}\n"
    if not message.text:
        return f"\n{NOT_MADE}\n"
    lines = [f"\n{_plain(message.text)}\n"]
    for citation in message.citations:
        page = "" if citation.page is None else f", page {citation.page}"
        unverified = "" if citation.verified else " (not verified)"
        name = _plain(" ".join(citation.name.split()))
        lines.append(f"\n- [{citation.n}] {name}{page}{unverified}")
        if citation.quote:
            lines.append(f": “{_plain(' '.join(citation.quote.split()))}”")
    if message.citations:
        lines.append("\n")
    return "".join(lines)


def _plain(text: str) -> str:
    """What documents word is no markup: a picture would be fetched by whoever opens the file, and a link
    would stand in it as its owner's."""
    return _MARKUP.sub(r"\\\g<0>", text)


def _quoted(text: str) -> str:
    """As a quotation, in which no line begins anything else."""
    return "\n".join(f"> {line}" for line in text.splitlines())
