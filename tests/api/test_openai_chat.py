"""Answers as completions of a chat: the `openai` package asks, streams, and reads the citations."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from db.session import Database
from tests.api.conftest import ApiProcess, audit_actions
from tests.api.openai_clients import async_openai_client, openai_client
from tests.conftest import TenantFixture
from tests.retrieval.model_answers import PAID, PASSAGES, QUESTION
from tests.retrieval.published import Published, private_collection, publish_file


@pytest.fixture(autouse=True)
async def published(database: Database, tenant: TenantFixture) -> Published:
    return await publish_file(
        database, tenant.access, tenant.collection_id, PASSAGES, name="harbour.pdf"
    )


@pytest.fixture
async def package(api: ApiProcess, tenant: TenantFixture) -> AsyncIterator[AsyncOpenAI]:
    async with async_openai_client(api, tenant.api_key) as package:
        yield package


ASKED: list[Any] = [{"role": "user", "content": QUESTION}]


def test_an_answer_comes_with_its_citations(
    api: ApiProcess, tenant: TenantFixture, published: Published, postgres_dsn: str
) -> None:
    with openai_client(api, tenant.api_key) as package:
        answer = package.chat.completions.create(model="muniment", messages=ASKED)
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    content, annotations = choice.message.content, choice.message.annotations
    assert content is not None
    assert PAID in content
    assert annotations
    for each in annotations:
        cited = each.model_dump()
        assert cited["type"] == "file_citation"
        assert cited["file_id"] == f"file-{published.file_id.hex}"
        assert cited["filename"] == "harbour.pdf"
        mark = content[cited["index"] : cited["end_index"]]
        assert mark.startswith("[")
        assert mark.endswith("]")
        assert cited["quote"] in " ".join(each.text for each in PASSAGES)
    assert answer.usage is not None
    assert answer.usage.total_tokens == 0, "no language model is configured"
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("query.answered") == 1
    assert QUESTION not in json.dumps(api.log_lines)


async def test_a_stream_ends_with_the_citations_and_the_usage(
    models_api: ApiProcess, tenant: TenantFixture, published: Published
) -> None:
    async with async_openai_client(models_api, tenant.api_key) as package:
        whole = await package.chat.completions.create(model="muniment-llm", messages=ASKED)
        stream = await package.chat.completions.create(
            model="muniment-llm",
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    first, *_, last, usage = chunks
    assert first.choices[0].delta.role == "assistant"
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    message = whole.choices[0].message
    assert content == message.content
    assert content.startswith(f"{PAID} [1].")
    assert last.choices[0].finish_reason == "stop"
    cited = last.choices[0].delta.model_dump()["annotations"]
    assert cited
    assert cited == [each.to_dict() for each in message.annotations or ()]
    for each in cited:
        assert each["file_id"] == f"file-{published.file_id.hex}"
        assert content[each["index"] : each["end_index"]].strip("[]").isdigit()
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.prompt_tokens == 1000
    assert usage.usage.total_tokens == 1050
    assert whole.usage == usage.usage
    assert whole.model_dump()["muniment"]["answered_by"] == "faithful@10,30"


async def test_models_are_the_ways_to_answer(
    package: AsyncOpenAI, models_api: ApiProcess, tenant: TenantFixture
) -> None:
    listed = [each.id async for each in package.models.list()]
    assert listed == ["muniment", "muniment-extractive"]
    assert (await package.models.retrieve("muniment")).owned_by == "muniment"
    for name in ("muniment-llm", "gpt-4o"):
        for ask in (
            package.models.retrieve(name),
            package.chat.completions.create(model=name, messages=ASKED),
        ):
            with pytest.raises(openai.NotFoundError) as unknown:
                await ask
            assert unknown.value.code == "model_not_found"
    async with async_openai_client(models_api, tenant.api_key) as with_model:
        listed = [each.id async for each in with_model.models.list()]
        assert listed == ["muniment", "muniment-extractive", "muniment-llm"]
        extractive = await with_model.chat.completions.create(
            model="muniment-extractive", messages=ASKED
        )
    assert extractive.usage is not None
    assert extractive.usage.total_tokens == 0


async def test_only_the_named_stores_are_asked(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture, published: Published
) -> None:
    empty = await package.vector_stores.create(name="empty")
    full = await package.vector_stores.create(
        name="full", file_ids=[f"file-{published.file_id.hex}"]
    )
    for stores, is_found in (([empty.id], False), ([full.id], True), ([empty.id, full.id], True)):
        by_tool = {"tools": [{"type": "file_search", "vector_store_ids": stores}]}
        for named in (by_tool, {"vector_store_ids": stores}):
            answer = await package.chat.completions.create(
                model="muniment", messages=ASKED, extra_body=named
            )
            assert bool(answer.choices[0].message.annotations) is is_found, (stores, named)
    filtered = {"type": "eq", "key": "year", "value": 1871}
    tool = {"type": "file_search", "vector_store_ids": [full.id], "filters": filtered}
    answer = await package.chat.completions.create(
        model="muniment", messages=ASKED, extra_body={"tools": [tool]}
    )
    assert not answer.choices[0].message.annotations
    drawer = await private_collection(database, tenant.access)
    for absent in ("vs_0198c5f27a3e7c4b9d510a6f4e2b8c11", "vs_garbage", f"vs_{drawer}"):
        with pytest.raises(openai.NotFoundError):
            await package.chat.completions.create(
                model="muniment", messages=ASKED, extra_body={"vector_store_ids": [absent]}
            )


async def test_another_tenants_store_is_not_found(
    api: ApiProcess, package: AsyncOpenAI, other_tenant: TenantFixture
) -> None:
    store = await package.vector_stores.create(name="mine")
    async with async_openai_client(api, other_tenant.api_key) as stranger:
        with pytest.raises(openai.NotFoundError):
            await stranger.chat.completions.create(
                model="muniment", messages=ASKED, extra_body={"vector_store_ids": [store.id]}
            )
        answer = await stranger.chat.completions.create(model="muniment", messages=ASKED)
    assert not answer.choices[0].message.annotations


async def test_a_question_that_goes_on_is_found_by_what_was_asked_before(
    package: AsyncOpenAI,
) -> None:
    follow_up = [{"role": "user", "content": "Are you certain?"}]
    alone: list[Any] = [*follow_up]
    assert not (
        (await package.chat.completions.create(model="muniment", messages=alone))
        .choices[0]
        .message.annotations
    )
    chat: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        {"role": "assistant", "content": "Somebody did. [1]"},
        *follow_up,
    ]
    answer = await package.chat.completions.create(model="muniment", messages=chat, temperature=0.2)
    assert answer.choices[0].message.annotations
    told = answer.model_dump()["muniment"]
    assert told["ignored"] == ["temperature", "messages[system]"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"stop": ["."]}, "stop"),
    ({"logprobs": True}, "logprobs"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"tool_choice": "none"}, "tool_choice"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"store": True}, "store"),
]


async def test_what_is_not_done_is_refused(package: AsyncOpenAI) -> None:
    for parameters, name in REFUSED:
        with pytest.raises(openai.BadRequestError) as refused:
            await package.chat.completions.create(
                model="muniment", messages=ASKED, extra_body=parameters
            )
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", name)
        assert refused.value.request_id


async def test_what_says_the_same_as_nothing_is_taken(package: AsyncOpenAI) -> None:
    answer = await package.chat.completions.create(
        model="muniment",
        messages=ASKED,
        n=1,
        stop=None,
        response_format={"type": "text"},
        logprobs=False,
        store=False,
        max_tokens=200,
    )
    assert answer.choices[0].message.annotations


GARBAGE: list[dict[str, Any]] = [
    {"messages": []},
    {"messages": [{"role": "user", "content": "  "}]},
    {"messages": [{"role": "user", "content": "\0"}]},
    {"messages": [{"role": "assistant", "content": "x"}]},
    {"messages": [{"role": "tool", "content": "x"}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
    {"messages": [{"role": "user", "content": "x" * 10_001}]},
    {"messages": ASKED, "unknown": 1},
    {"messages": ASKED, "tools": [{"type": "function", "function": {"name": "f"}}]},
    {"messages": ASKED, "vector_store_ids": []},
    {"messages": ASKED, "temperature": "hot"},
]


async def test_garbage_is_a_bad_request(package: AsyncOpenAI) -> None:
    for body in GARBAGE:
        asked = {"model": "muniment", **body}
        with pytest.raises(openai.BadRequestError) as refused:
            await package.post("/chat/completions", body=asked, cast_to=object)
        assert refused.value.type == "invalid_request_error"
