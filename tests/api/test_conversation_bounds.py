"""What is read of conversations while it changes, and how much at a time."""

import re
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import text

from api.authentication import Caller
from api.conversations import searching, service
from api.conversations.exporting import _section
from api.conversations.limits import ConversationLimits
from api.conversations.schemas import Message
from api.services import Services
from db.models import Conversation, ConversationMessage, new_id, now
from db.queries import conversations, erasure
from db.session import Access, Database
from muniment.contracts.conversations import MessageRole, MessageState
from muniment.objects import SealedText
from retrieval.kept_answers import AnswerWords
from retrieval.response import Citation
from tests.conftest import TenantFixture
from tests.db.conversed import add_conversation
from tests.retrieval.published import Published, publish_file, set_state


class Opened:
    """Words that need no key; `before` is what happens while an answer's is waited for."""

    def __init__(self, erased: tuple[Database, Access, UUID] | None = None) -> None:
        self.at_once: list[int] = []
        self._erased = erased

    async def try_words(self, sealed: Sequence[SealedText], model: Any) -> list[Any]:
        self.at_once.append(len(sealed))
        if self._erased is not None and model is AnswerWords:
            database, access, file_id = self._erased
            async with database.transaction(access) as session:
                await erasure.erase_conversations(session, file_id)
        return [model(text=each.content.decode()) for each in sealed]


def services_of(database: Database, texts: Opened) -> Services:
    return cast(
        "Services",
        SimpleNamespace(database=database, texts=texts, conversations=ConversationLimits()),
    )


def caller_of(tenant: TenantFixture) -> Caller:
    return cast("Caller", SimpleNamespace(access=tenant.access, principal_id=tenant.principal_id))


@pytest.fixture
async def published(database: Database, tenant: TenantFixture) -> Published:
    return await publish_file(database, tenant.access, tenant.collection_id, ["Words."])


async def conversation_of(
    database: Database, tenant: TenantFixture
) -> tuple[Conversation, Sequence[ConversationMessage]]:
    async with database.transaction(tenant.access) as session:
        (found,) = await conversations.list_conversations(session, tenant.principal_id, limit=2)
        return found, await conversations.messages_from(session, found.id, 0, 100)


@pytest.mark.parametrize("state", ["ready", "erasing"])
async def test_an_erasure_while_keys_are_waited_for_leaves_nothing_to_show(
    database: Database, tenant: TenantFixture, published: Published, state: str
) -> None:
    async with database.transaction(tenant.access) as session:
        await add_conversation(session, tenant, published.file_id)
        await session.execute(text("UPDATE conversation_message SET sealed = 'Whelk'"))
    row, rows = await conversation_of(database, tenant)
    await set_state(database, tenant.access, published.file_id, state)
    erased = (database, Access(tenant.tenant_id), published.file_id)
    services, caller = services_of(database, Opened(erased)), caller_of(tenant)
    question, answer = await service.messages_shown(services, caller, row, rows, None)
    assert (question.text, question.state) == ("Whelk", MessageState.COMPLETED)
    assert (answer.text, answer.state) == (None, MessageState.FORGOTTEN)


async def test_a_search_opens_long_conversations_in_slices(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 2 * searching.SLICE + 20
    row = Conversation(
        tenant_id=tenant.tenant_id,
        principal_id=tenant.principal_id,
        key_id=new_id(),
        message_count=count,
    )
    async with database.transaction(tenant.access) as session:
        session.add(row)
        await session.flush()
        session.add_all(
            ConversationMessage(
                tenant_id=tenant.tenant_id,
                conversation_id=row.id,
                ordinal=number,
                role="question",
                state="completed",
                sealed=f"word{number}.".encode(),
            )
            for number in range(count)
        )
    texts = Opened()
    services, caller = services_of(database, texts), caller_of(tenant)
    query = f"word1. WORD{count - 1}."
    found = await searching.search(services, caller, query, limit=5, after=None)
    assert [each.messages for each in found.data] == [count]
    assert max(texts.at_once) == searching.SLICE
    absent = await searching.search(services, caller, "word1. nowhere", limit=5, after=None)
    assert (absent.data, absent.looked_up_to) == ([], None)
    monkeypatch.setattr(searching, "MOST_BYTES", 10)
    bounded = await searching.search(services, caller, query, limit=5, after=None)
    assert bounded.data == []


async def test_spent_conversations_are_forgotten_in_parts(
    database: Database, tenant: TenantFixture
) -> None:
    async with database.transaction(tenant.access) as session:
        for count in (3, 3, 3):
            session.add(
                Conversation(
                    tenant_id=tenant.tenant_id,
                    principal_id=tenant.principal_id,
                    key_id=new_id(),
                    message_count=count,
                    updated_at=now() - timedelta(days=8),
                )
            )
    async with database.transaction(Access(tenant.tenant_id)) as session:
        kept = timedelta(days=7)
        parts = [await conversations.forget_older(session, kept, 4) for _ in range(3)]
    assert parts == [2, 1, 0]


def test_what_documents_word_is_no_markup_of_an_export() -> None:
    evil = "![x](https://evil/x) <img src=y> [login](z)"
    citation = Citation(
        n=1,
        chunk_id=new_id(),
        file_id=new_id(),
        version=1,
        name=evil,
        page=None,
        boxes=(),
        quote=evil,
        verified=True,
        injection_suspected=False,
    )
    message = Message(
        id=new_id(),
        conversation_id=new_id(),
        parent_id=None,
        ordinal=1,
        role=MessageRole.ANSWER,
        state=MessageState.COMPLETED,
        text=evil,
        citations=[citation],
        created_at=now(),
    )
    written = _section(message)
    assert "img" in written
    assert re.search(r"(?<!\\)[!<](img|\[)|(?<!\\)\]\(|https://", written) is None
