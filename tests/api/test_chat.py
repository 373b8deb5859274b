"""`muniment chat`, of a pipe, against a real API process."""

import asyncio
import os
from uuid import uuid4

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from db.session import Database
from muniment.cli.main import app
from muniment.client.answering import Token
from muniment.client.async_client import AsyncMuniment
from muniment.client.resources.conversations import ConversationAnswer
from tests.api.conftest import ApiProcess
from tests.api.test_conversations import PATH
from tests.conftest import TenantFixture
from tests.retrieval.model_answers import PASSAGES, QUESTION
from tests.retrieval.published import publish_file


@pytest.fixture(autouse=True)
async def published(database: Database, tenant: TenantFixture) -> None:
    await publish_file(
        database, tenant.access, tenant.collection_id, PASSAGES, name="harbour\x1b[31m.pdf"
    )


async def chatted(api: ApiProcess, key: str, said: str, *arguments: str) -> Result:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")}
    chosen = {"MUNIMENT_API__URL": api.url, "MUNIMENT_API__KEY": key, "TERM": "dumb"}
    return await asyncio.to_thread(
        CliRunner().invoke, app, ["chat", *arguments], input=said, env=kept | chosen
    )


async def test_every_line_is_asked_in_one_conversation(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    shown = await chatted(api, tenant.api_key, f"{QUESTION}\n\nAnd who pays it?\n")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("harbour") >= 2
    assert "[1]" in shown.stdout
    assert "\x1b" not in shown.stdout
    (conversation,) = (await client.get(PATH)).json()["data"]
    assert conversation["messages"] == 4
    assert conversation["id"] in shown.stderr
    again = await chatted(api, tenant.api_key, QUESTION, "--conversation", conversation["id"])
    assert again.exit_code == 0, again.output
    (conversation,) = (await client.get(PATH)).json()["data"]
    assert conversation["messages"] == 6


async def test_what_is_refused_ends_it(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    assert (await chatted(api, tenant.api_key, QUESTION, "--conversation", "x")).exit_code == 2
    unknown = await chatted(api, tenant.api_key, QUESTION, "--conversation", str(uuid4()))
    assert unknown.exit_code == 1
    assert (await chatted(api, tenant.api_key, "x" * 20_000)).exit_code == 1
    assert (await chatted(api, tenant.api_key, "\n")).exit_code == 0


async def test_both_clients_ask_word_by_word(api: ApiProcess, tenant: TenantFixture) -> None:
    async with AsyncMuniment(url=api.url, key=tenant.api_key) as muniment:
        conversation = await muniment.conversations.create()
        parts = [
            part async for part in muniment.conversations.ask_stream(conversation.id, QUESTION)
        ]
        assert "".join(part.text for part in parts if isinstance(part, Token)) == parts[-1].answer  # type: ignore[union-attr]
        messages = await muniment.conversations.messages(conversation.id)
        assert isinstance(parts[-1], ConversationAnswer)
        assert parts[-1].message_id == messages.data[0].id
