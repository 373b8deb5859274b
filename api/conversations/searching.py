"""Search over one's conversations: their words are sealed, so they are opened here and looked through, the
newest first, within bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.authentication import Caller
from api.conversations.schemas import Conversation
from api.conversations.view import conversation_view
from api.conversations.words import open_messages, open_titles
from api.services import Services
from db.models import Conversation as ConversationRecord
from db.models import ConversationMessage
from db.queries import conversations

MOST_LOOKED_THROUGH = 200
"""Conversations for one page."""
MOST_BYTES = 32_000_000
"""Of sealed words for one page, beyond which no further batch is begun."""
BATCH = 10
"""Conversations whose words are in memory together."""


@dataclass(frozen=True)
class Found:
    """`looked_up_to` is where to go on; None when all were looked through. What could not be opened is not
    found."""

    data: list[Conversation]
    looked_up_to: tuple[datetime, UUID] | None


async def search(
    services: Services,
    caller: Caller,
    query: str,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> Found:
    """Those in which all words of the query stand, in the title, in questions, or in answers that the caller
    may read now. TooManyRequests where this process has as many searches as it may."""
    wanted = query.casefold().split()
    found: list[Conversation] = []
    looked = size = 0
    with services.conversations.searches.take():
        while looked < MOST_LOOKED_THROUGH and size < MOST_BYTES:
            batch = await _batch(services, caller, after)
            for row, view, words in batch:
                after = (row.created_at, row.id)
                looked, size = looked + 1, size + row.size_bytes
                if all(word in words for word in wanted):
                    found.append(view)
                    if len(found) == limit:
                        return Found(found, after)
            if len(batch) < BATCH:
                return Found(found, None)
    return Found(found, after)


async def _batch(
    services: Services, caller: Caller, after: tuple[datetime, UUID] | None
) -> list[tuple[ConversationRecord, Conversation, str]]:
    async with services.database.transaction(caller.access) as session:
        rows = await conversations.list_conversations(
            session, caller.principal_id, limit=BATCH, after=after
        )
        said = [
            (row, message)
            for row in rows
            for message in await conversations.messages_from(
                session, row.id, 0, services.conversations.messages
            )
        ]
    titles = await open_titles(services.texts, rows)
    words = await _words(services, caller, said)
    views = [conversation_view(row, title) for row, title in zip(rows, titles, strict=True)]
    return [
        (row, view, "\n".join(((view.title or "").casefold(), words.get(row.id, ""))))
        for row, view in zip(rows, views, strict=True)
    ]


async def _words(
    services: Services,
    caller: Caller,
    said: Sequence[tuple[ConversationRecord, ConversationMessage]],
) -> dict[UUID, str]:
    """By conversation; of answers those that may be shown, which is asked last."""
    opened = await open_messages(services.texts, said)
    async with services.database.transaction(caller.access) as session:
        ids = [message.id for _, message in said]
        withheld = await conversations.withheld_messages(session, ids)
    words: dict[UUID, str] = {}
    for each in opened:
        if each.message.id not in withheld:
            before = words.get(each.message.conversation_id, "")
            words[each.message.conversation_id] = f"{before}\n{each.text.casefold()}"
    return words
