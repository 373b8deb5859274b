"""What was read of a store's file, and how a search went, as the `openai` package asks for it."""

from uuid import UUID

import httpx
import openai
import pytest

from db.models import IndexVersion, new_id, now
from db.session import Database
from tests.api.conftest import ApiProcess, audit_actions
from tests.api.openai_clients import async_openai_client
from tests.api.test_pages import path, stores
from tests.conftest import TenantFixture, make_tenant
from tests.retrieval.published import publish_file

__all__ = ["path", "stores"]


async def test_the_text_of_a_stores_file_is_told(
    api: ApiProcess,
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    path: str,
    postgres_dsn: str,
) -> None:
    file_id = UUID(path.rpartition("/")[2])
    shown = f"file-{file_id.hex}"
    async with async_openai_client(api, tenant.api_key) as package:
        store = await package.vector_stores.create(name="harbour", file_ids=[shown])
        content = await package.vector_stores.files.content(shown, vector_store_id=store.id)
        told = (await client.get(f"{path}/text")).text
        assert [(each.type, each.text) for each in content.data] == [("text", told)]
        assert "first" in told
        empty = await package.vector_stores.create(name="empty")
        with pytest.raises(openai.NotFoundError):
            await package.vector_stores.files.content(shown, vector_store_id=empty.id)
        unread = await package.files.create(file=("new.txt", b"new"), purpose="assistants")
        await package.vector_stores.files.create(store.id, file_id=unread.id)
        with pytest.raises(openai.ConflictError):
            await package.vector_stores.files.content(unread.id, vector_store_id=store.id)
    stranger = make_tenant(postgres_dsn, "stranger-to-content")
    async with async_openai_client(api, stranger.api_key) as package:
        with pytest.raises(openai.NotFoundError):
            await package.vector_stores.files.content(shown, vector_store_id=store.id)
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("file.read") == 2


async def test_a_search_says_what_took_no_part_in_it(
    api: ApiProcess, tenant: TenantFixture, database: Database
) -> None:
    cranes = "The widow Van der Meer paid for the harbour cranes."
    await publish_file(database, tenant.access, tenant.collection_id, [cranes])
    async with database.transaction(tenant.system) as session:
        session.add(
            IndexVersion(
                id=new_id(),
                tenant_id=tenant.tenant_id,
                model_id="of another release",
                model_version="1",
                dimensions=384,
                state="active",
                activated_at=now(),
            )
        )
    async with async_openai_client(api, tenant.api_key) as package:
        store = f"vs_{tenant.collection_id.hex}"
        found = await package.vector_stores.search(store, query="harbour cranes")
        answer = await package.chat.completions.create(
            model="muniment-extractive",
            messages=[{"role": "user", "content": "Who paid for the harbour cranes?"}],
        )
    for told in (found.model_extra, answer.model_extra):
        assert told is not None
        assert told["muniment"]["degraded"] is True
        assert "took no part" in told["muniment"]["reasons"][0]
    assert found.model_extra["muniment"]["mode_used"] == "lexical"  # type: ignore[index] # seen above
    assert len(found.data) == 1
