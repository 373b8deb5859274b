"""Search over one's conversations: their words are sealed, so they are opened here and looked through, the
newest first, within bounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from api.authentication import Caller
from api.conversations.schemas import Conversation
from api.conversations.view import conversation_view
from api.conversations.words import open_messages, open_titles
from api.services import Services
from db.models import Conversation as ConversationRecord
from db.queries import conversations

MOST_LOOKED_THROUGH = 200
"""Conversations for one page."""
MOST_BYTES = 32_000_000
"""Of sealed words for one page; of a conversation that alone has more, the first ones are looked through."""
BATCH = 10
"""Conversations whose titles are opened together."""
SLICE = 50
"""Messages that are in memory and opened together: other requests have their turn in between."""


@dataclass(frozen=True)
class Found:
    """`looked_up_to` is where to go on; None when all were looked through. What could not be opened is not
    found."""

    data: list[Conversation]
    looked_up_to: tuple[datetime, UUID] | None


@dataclass
class _Sought:
    """A conversation, and those words that did not stand in it yet."""

    row: ConversationRecord
    view: Conversation
    missing: list[str] = field(default_factory=list)

    def look_at(self, text: str) -> None:
        folded = text.casefold()
        self.missing = [word for word in self.missing if word not in folded]


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
    looked, room = 0, MOST_BYTES
    with services.conversations.searches.take():
        while looked < MOST_LOOKED_THROUGH:
            batch = await _batch(services, caller, wanted, after)
            for group in _groups(batch):
                if room <= 0:
                    return Found(found, after)
                room -= await _look_through(services, caller, group, room)
                for each in group:
                    after = (each.row.created_at, each.row.id)
                    looked += 1
                    if not each.missing:
                        found.append(each.view)
                        if len(found) == limit:
                            return Found(found, after)
            if len(batch) < BATCH:
                return Found(found, None)
    return Found(found, after)


async def _batch(
    services: Services, caller: Caller, wanted: Sequence[str], after: tuple[datetime, UUID] | None
) -> list[_Sought]:
    """Looked through as far as their titles."""
    async with services.database.transaction(caller.access) as session:
        rows = await conversations.list_conversations(
            session, caller.principal_id, limit=BATCH, after=after
        )
    titles = await open_titles(services.texts, rows)
    batch: list[_Sought] = []
    for row, title in zip(rows, titles, strict=True):
        sought = _Sought(row, conversation_view(row, title), [*wanted])
        sought.look_at(sought.view.title or "")
        batch.append(sought)
    return batch


def _groups(batch: Sequence[_Sought]) -> Iterator[list[_Sought]]:
    """In their order: as many as make one slice, or one that has more."""
    group: list[_Sought] = []
    for each in batch:
        if group and sum(sought.row.message_count for sought in [*group, each]) > SLICE:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


async def _look_through(
    services: Services, caller: Caller, group: Sequence[_Sought], room: int
) -> int:
    """Until nothing is missing or so many bytes were opened; how many were."""
    first = size = 0
    while size < room and (open_ones := [each for each in group if each.missing]):
        async with services.database.transaction(caller.access) as session:
            said = [
                (each.row, message)
                for each in open_ones
                for message in await conversations.messages_from(session, each.row.id, first, SLICE)
            ]
        size += sum(len(message.sealed or b"") for _, message in said)
        opened = await open_messages(services.texts, said)
        # Asked last: what was forgotten while keys were waited for is not found.
        async with services.database.transaction(caller.access) as session:
            ids = [message.id for _, message in said]
            hidden = await conversations.hidden_messages(session, ids)
        by_id = {each.row.id: each for each in open_ones}
        for message in opened:
            if message.message.id not in hidden:
                by_id[message.message.conversation_id].look_at(message.text)
        first += SLICE
        if len(group) > 1 or len(said) < SLICE:
            break
    return size
