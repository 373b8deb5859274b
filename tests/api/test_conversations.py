"""`/v1/conversations` and `/v1/feedback`: kept, found, exported for who asked, as far as it may be read."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import cast
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from api.conversations import asking
from api.conversations.limits import ConversationLimits
from api.services import Services
from db.queries import conversations, erasure
from db.session import Access, Database
from muniment.errors import TooManyRequests
from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant
from tests.db.conversed import add_conversation
from tests.retrieval.model_answers import PAID, PASSAGES, QUESTION
from tests.retrieval.published import Passage, Published, publish_file, set_state
from worker.spent_conversations import SpentConversations

PATH = "/v1/conversations"
FEEDBACK = "/v1/feedback"
WORDS = "Meer"
"""Of the document."""


@pytest.fixture
async def published(database: Database, tenant: TenantFixture) -> Published:
    return await publish_file(
        database, tenant.access, tenant.collection_id, PASSAGES, name="harbour.pdf"
    )


async def begin(client: httpx.AsyncClient, title: str | None = None) -> str:
    made = await client.post(PATH, json={"title": title})
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == f"{PATH}/{made.json()['id']}"
    return str(made.json()["id"])


async def ask(
    client: httpx.AsyncClient, conversation_id: str, query: str = QUESTION, **place: str
) -> dict[str, str]:
    answer = await client.post(
        "/v1/query", json={"query": query, "conversation_id": conversation_id, **place}
    )
    assert answer.status_code == 200, answer.text
    made: dict[str, str] = answer.json()
    return made


async def messages(client: httpx.AsyncClient, conversation_id: str) -> list[dict[str, object]]:
    """In the order in which they were said."""
    listed = await client.get(f"{PATH}/{conversation_id}/messages")
    assert listed.status_code == 200, listed.text
    return [*reversed(listed.json()["data"])]


async def test_a_question_and_its_answer_are_kept_with_where_they_came_from(
    client: httpx.AsyncClient, published: Published
) -> None:
    conversation_id = await begin(client)
    answer = await ask(client, conversation_id)
    assert (answer["conversation_id"], answer["asked"]) == (conversation_id, QUESTION)
    question, kept = await messages(client, conversation_id)
    assert (question["text"], question["role"], question["parent_id"]) == (
        QUESTION,
        "question",
        None,
    )
    assert (kept["id"], kept["parent_id"]) == (answer["message_id"], question["id"])
    assert (kept["state"], kept["text"]) == ("completed", answer["answer"])
    assert kept["citations"] == answer["citations"]
    provenance = kept["provenance"]
    assert isinstance(provenance, dict)
    assert (provenance["model"], provenance["rewritten_by"]) == ("extractive", None)
    assert {source["name"] for source in provenance["sources"]} == {"harbour.pdf"}
    shown = (await client.get(f"{PATH}/{conversation_id}")).json()
    assert (shown["title"], shown["messages"]) == (QUESTION, 2)
    one = await client.get(f"{PATH}/{conversation_id}/messages/{kept['id']}")
    assert one.json() == kept


async def test_a_follow_up_is_searched_for_in_its_context(
    client: httpx.AsyncClient, published: Published
) -> None:
    conversation_id = await begin(client, "harbour")
    await ask(client, conversation_id, "Tell me about the harbour cranes.")
    answer = await ask(client, conversation_id, "And who paid for them?")
    assert answer["asked"] == "And who paid for them? (harbour cranes)"
    assert PAID in answer["answer"]
    kept = (await messages(client, conversation_id))[-1]["provenance"]
    assert isinstance(kept, dict)
    assert (kept["asked"], kept["rewritten_by"]) == (answer["asked"], "rule")
    assert (await client.get(f"{PATH}/{conversation_id}")).json()["title"] == "harbour"


async def test_a_repeated_question_is_asked_once(
    client: httpx.AsyncClient, published: Published
) -> None:
    conversation_id = await begin(client)
    header = {"Idempotency-Key": uuid4().hex}
    body = {"query": QUESTION, "conversation_id": conversation_id}
    first = (await client.post("/v1/query", json=body, headers=header)).json()
    again = await client.post("/v1/query", json=body, headers=header)
    assert again.headers["Idempotency-Replayed"] == "true"
    for name in ("answer", "citations", "message_id", "asked"):
        assert again.json()[name] == first[name]
    assert len(await messages(client, conversation_id)) == 2
    other = await client.post("/v1/query", json={**body, "query": "else?"}, headers=header)
    assert other.status_code == 422
    await client.delete(f"{PATH}/{conversation_id}")
    gone = await client.post("/v1/query", json=body, headers=header)
    assert gone.status_code == 404


async def test_edited_questions_and_former_answers_stay(
    client: httpx.AsyncClient, published: Published
) -> None:
    conversation_id = await begin(client)
    first = await ask(client, conversation_id, "Who paid?")
    again = await client.post(
        f"{PATH}/{conversation_id}/messages/{first['question_id']}/regenerate", json={}
    )
    assert again.status_code == 200, again.text
    assert again.json()["question_id"] == first["question_id"]
    edited = await ask(client, conversation_id, QUESTION, edits=first["question_id"])
    onward = await ask(client, conversation_id, "Why?", follows=first["message_id"])
    said = {str(each["id"]): each for each in await messages(client, conversation_id)}
    assert len(said) == 7
    assert said[again.json()["message_id"]]["parent_id"] == first["question_id"]
    assert said[edited["question_id"]]["parent_id"] is None
    assert said[onward["question_id"]]["parent_id"] == first["message_id"]
    markdown = (await client.get(f"{PATH}/{conversation_id}/export?format=markdown")).text
    assert "> Who paid?\n" in markdown
    assert "> Why?" in markdown
    assert QUESTION not in markdown.split("\n", 1)[1]
    for wrong in (
        {"follows": first["question_id"]},
        {"edits": first["message_id"]},
        {"follows": str(uuid4())},
    ):
        body = {"query": "x", "conversation_id": conversation_id, **wrong}
        assert (await client.post("/v1/query", json=body)).status_code == 404
    both = {"edits": first["question_id"], "follows": first["message_id"]}
    body = {"query": "x", "conversation_id": conversation_id, **both}
    assert (await client.post("/v1/query", json=body)).status_code == 422
    assert (await client.post("/v1/query", json={"query": "x", **both})).status_code == 422


async def test_a_conversation_is_its_principals_alone(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
    published: Published,
) -> None:
    colleague = make_tenant(postgres_dsn, tenant.name, principal="colleague")
    conversation_id = await begin(client, "mine")
    answer = await ask(client, conversation_id)
    message = f"{PATH}/{conversation_id}/messages/{answer['message_id']}"
    async with client_of(api, colleague.api_key) as other:
        assert (await other.get(PATH)).json()["data"] == []
        assert (await other.get(f"{PATH}?query=mine")).json()["data"] == []
        for method, path, body in (
            ("GET", f"{PATH}/{conversation_id}", None),
            ("PATCH", f"{PATH}/{conversation_id}", {"title": "theirs"}),
            ("DELETE", f"{PATH}/{conversation_id}", None),
            ("GET", f"{PATH}/{conversation_id}/messages", None),
            ("GET", f"{PATH}/{conversation_id}/export", None),
            ("GET", message, None),
            ("GET", f"{message}/events", None),
            ("POST", f"{message}/regenerate", {}),
            ("POST", "/v1/query", {"query": "x", "conversation_id": conversation_id}),
            ("POST", FEEDBACK, {"message_id": answer["message_id"], "verdict": "up"}),
        ):
            refused = await other.request(method, path, json=body)
            assert refused.status_code == 404, (method, path, refused.text)
    mine = await begin(client)
    crossed = await client.get(f"{PATH}/{mine}/messages/{answer['message_id']}")
    assert crossed.status_code == 404, "of another conversation"


@pytest.mark.parametrize("state", ["trashed", "quarantined", "restricted"])
async def test_nothing_shows_an_answer_whose_file_may_not_be_read_now(
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    published: Published,
    state: str,
) -> None:
    conversation_id = await begin(client)
    answer = await ask(client, conversation_id)
    assert WORDS in answer["answer"]
    told = {"message_id": answer["message_id"], "verdict": "up", "text": f"{WORDS}, right"}
    assert (await client.post(FEEDBACK, json=told)).status_code == 200
    await set_state(database, tenant.access, published.file_id, state)
    shown = await everything(client, conversation_id, answer["message_id"])
    for path, body in shown.items():
        assert WORDS not in body, path
        assert "harbour.pdf" not in body, path
        assert str(published.file_id) not in body, path
    found = (await client.get(f"{PATH}?query={WORDS}")).json()["data"]
    assert found == []
    kept = (await messages(client, conversation_id))[-1]
    assert (kept["withheld"], kept["text"], kept["provenance"]) == (True, None, None)
    await set_state(database, tenant.access, published.file_id, "ready")
    assert (await messages(client, conversation_id))[-1]["text"] == answer["answer"]
    found = (await client.get(f"{PATH}?query={WORDS.upper()}")).json()["data"]
    assert [each["id"] for each in found] == [conversation_id]


async def everything(
    client: httpx.AsyncClient, conversation_id: str, message_id: str
) -> dict[str, str]:
    """What every route says of the conversation, by its path."""
    paths = (
        PATH,
        f"{PATH}/{conversation_id}",
        f"{PATH}/{conversation_id}/messages",
        f"{PATH}/{conversation_id}/messages/{message_id}",
        f"{PATH}/{conversation_id}/messages/{message_id}/events",
        f"{PATH}/{conversation_id}/export",
        f"{PATH}/{conversation_id}/export?format=markdown",
        FEEDBACK,
        f"{FEEDBACK}/questions",
    )
    said: dict[str, str] = {}
    for path in paths:
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        said[path] = answer.text
    return said


async def test_rights_that_are_taken_away_take_answers_with_them(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    database: Database,
    postgres_dsn: str,
) -> None:
    reader = make_tenant(postgres_dsn, tenant.name, principal="reader", is_admin=False)
    private = (
        await client.post("/v1/collections", json={"name": "p", "visibility": "private"})
    ).json()
    published = await publish_file(database, tenant.access, UUID(private["id"]), PASSAGES)
    granted = await client.post(
        "/v1/grants",
        json={
            "principal_id": str(reader.principal_id),
            "file_id": str(published.file_id),
            "level": "read",
        },
    )
    async with client_of(api, reader.api_key) as other:
        conversation_id = await begin(other)
        answer = await ask(other, conversation_id)
        assert WORDS in answer["answer"]
        deleted = await client.delete(f"/v1/grants/{granted.json()['id']}")
        assert deleted.is_success, deleted.text
        for path, body in (await everything(other, conversation_id, answer["message_id"])).items():
            assert WORDS not in body, path


async def test_an_erased_file_is_forgotten_by_conversations(
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    published: Published,
    postgres_dsn: str,
) -> None:
    other = await publish_file(
        database, tenant.access, tenant.collection_id, ["The lighthouse was lit in 1790."]
    )
    conversation_id = await begin(client)
    answer = await ask(client, conversation_id)
    unrelated = await ask(client, conversation_id, "When was the lighthouse lit?")
    given = {
        "message_id": unrelated["message_id"],
        "verdict": "down",
        "text": "no",
        "expected_source": {"file_id": str(published.file_id), "page": 1},
    }
    assert (await client.post(FEEDBACK, json=given)).status_code == 200
    async with database.transaction(Access(tenant.tenant_id)) as session:
        await erasure.erase_conversations(session, published.file_id)
        # Once more changes nothing.
        await erasure.erase_conversations(session, published.file_id)
    with psycopg.connect(postgres_dsn) as connection:
        sizes = connection.execute(
            "SELECT size_bytes, (SELECT sum(octet_length(sealed)) FROM conversation_message"
            " WHERE conversation_id = conversation.id) FROM conversation WHERE id = %s",
            (conversation_id,),
        ).fetchone()
    assert sizes is not None
    assert sizes[0] == sizes[1], "what was forgotten takes no room"
    _, forgotten, _, kept = await messages(client, conversation_id)
    assert (forgotten["id"], forgotten["state"]) == (answer["message_id"], "forgotten")
    assert (forgotten["text"], forgotten["citations"]) == (None, [])
    assert kept["text"] == unrelated["answer"]
    said = {"message_id": answer["message_id"], "verdict": "down"}
    repeated = await client.post(FEEDBACK, json={**said, "text": answer["answer"]})
    assert repeated.status_code == 409, "nothing would forget it"
    assert (await client.post(FEEDBACK, json=said)).status_code == 200
    await client.delete(f"{FEEDBACK}/{(await client.get(FEEDBACK)).json()['data'][0]['id']}")
    listed = (await client.get(FEEDBACK)).json()["data"]
    assert [each["expected_source"] for each in listed] == [None]
    assert other.file_id is not None


async def test_words_are_sealed_and_die_with_the_conversation(
    client: httpx.AsyncClient,
    api: ApiProcess,
    tenant: TenantFixture,
    postgres_dsn: str,
    published: Published,
) -> None:
    before = {*api.stored_objects(tenant.tenant_id)}
    conversation_id = await begin(client, "Quillonwhelk")
    answer = await ask(client, conversation_id)
    await client.post(
        FEEDBACK,
        json={"message_id": answer["message_id"], "verdict": "down", "text": "Quillonwhelk"},
    )
    tables = ("conversation", "conversation_message", "message_source", "answer_event", "feedback")
    with psycopg.connect(postgres_dsn) as connection:
        rows = [
            connection.execute(
                f"SELECT encode(convert_to({table}::text, 'UTF8'), 'escape') FROM {table}"  # noqa: S608
                " WHERE tenant_id = %s",
                (tenant.tenant_id,),
            ).fetchall()
            for table in (*tables, "idempotency_key", "audit_event")
        ]
        stored = connection.execute(
            "SELECT string_agg(encode(sealed, 'escape'), ' ') FROM conversation_message"
            " WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchone()
    for word in ("Quillonwhelk", WORDS, "cranes"):
        assert word not in str(rows), word
        assert word not in str(stored), word
    assert WORDS not in json.dumps(api.log_lines)
    assert len({*api.stored_objects(tenant.tenant_id)} - before) == 2, "a text key and its wrapping"
    assert (await client.delete(f"{PATH}/{conversation_id}")).status_code == 204
    assert {*api.stored_objects(tenant.tenant_id)} == before
    assert (await client.get(f"{PATH}/{conversation_id}")).status_code == 404
    with psycopg.connect(postgres_dsn) as connection:
        for table in tables:
            left = connection.execute(
                f"SELECT count(*) FROM {table} WHERE tenant_id = %s",  # noqa: S608
                (tenant.tenant_id,),
            ).fetchone()
            assert left == (0,), table


async def test_conversations_are_listed_searched_and_renamed(client: httpx.AsyncClient) -> None:
    ids = [await begin(client, f"Straße {name}") for name in ("Eins", "Zwei", "Drei")]
    first = (await client.get(f"{PATH}?limit=2")).json()
    assert [each["id"] for each in first["data"]] == [ids[2], ids[1]]
    rest = (await client.get(f"{PATH}?limit=2&cursor={first['next_cursor']}")).json()
    assert ([each["id"] for each in rest["data"]], rest["next_cursor"]) == ([ids[0]], None)
    found = (await client.get(f"{PATH}?query=STRASSE zwei")).json()["data"]
    assert [each["id"] for each in found] == [ids[1]]
    page = (await client.get(f"{PATH}?query=straße&limit=2")).json()
    onward = await client.get(f"{PATH}?query=straße&limit=2&cursor={page['next_cursor']}")
    assert [each["id"] for each in onward.json()["data"]] == [ids[0]]
    shown = await client.get(f"{PATH}/{ids[0]}")
    match = {"If-Match": shown.headers["ETag"]}
    renamed = await client.patch(f"{PATH}/{ids[0]}", json={"title": "Allee"}, headers=match)
    assert (renamed.status_code, renamed.json()["title"]) == (200, "Allee")
    stale = await client.patch(f"{PATH}/{ids[0]}", json={"title": "x"}, headers=match)
    assert stale.status_code == 412
    for body in ({"title": ""}, {"title": "x" * 201}, {"title": "a\0b"}, {"name": "x"}):
        assert (await client.post(PATH, json=body)).status_code == 422, body


async def test_a_repeated_creation_is_one_conversation_without_its_title(
    client: httpx.AsyncClient,
) -> None:
    header = {"Idempotency-Key": uuid4().hex}
    first = await client.post(PATH, json={"title": "once"}, headers=header)
    again = await client.post(PATH, json={"title": "once"}, headers=header)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert again.json()["title"] is None
    assert len((await client.get(PATH)).json()["data"]) == 1


async def test_feedback_becomes_questions_to_evaluate_by(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, published: Published
) -> None:
    right = await publish_file(
        database, tenant.access, tenant.collection_id, [Passage("Storms of 1854.")], name="r.txt"
    )
    conversation_id = await begin(client)
    good = await ask(client, conversation_id)
    bad = await ask(client, conversation_id, "Which storm destroyed the quay of the harbour?")
    assert (await client.get(f"{FEEDBACK}/questions")).json()["questions"] == []
    for given in (
        {"message_id": good["message_id"], "verdict": "down"},
        {"message_id": good["message_id"], "verdict": "up"},
        {
            "message_id": bad["message_id"],
            "verdict": "down",
            "text": "It was another one.",
            "expected_source": {"file_id": str(right.file_id), "page": 1},
        },
    ):
        answer = await client.post(FEEDBACK, json=given)
        assert answer.status_code == 200, answer.text
    listed = (await client.get(FEEDBACK)).json()["data"]
    assert [(each["verdict"], each["text"]) for each in listed] == [
        ("down", "It was another one."),
        ("up", None),
    ]
    assert len((await client.get(f"{FEEDBACK}?verdict=up")).json()["data"]) == 1
    said = await messages(client, conversation_id)
    assert [each["feedback"] for each in said if each["role"] == "answer"] == ["up", "down"]
    exported = (await client.get(f"{FEEDBACK}/questions")).json()
    assert {each["text"]: each["relevant"] for each in exported["questions"]} == {
        good["asked"]: {str(published.file_id): 1},
        bad["asked"]: {str(right.file_id): 1},
    }
    evaluation = {"name": "said", **{k: exported[k] for k in ("identified_by", "questions")}}
    started = await client.post("/v1/evaluations", json=evaluation)
    assert started.status_code == 202, started.text
    for wrong in (
        {"message_id": good["question_id"], "verdict": "up"},
        {"message_id": str(uuid4()), "verdict": "up"},
    ):
        assert (await client.post(FEEDBACK, json=wrong)).status_code == 404
    absent = {"file_id": str(uuid4())}
    body = {"message_id": bad["message_id"], "verdict": "down", "expected_source": absent}
    assert (await client.post(FEEDBACK, json=body)).status_code == 422
    assert (await client.delete(f"{FEEDBACK}/{listed[0]['id']}")).status_code == 204
    assert len((await client.get(FEEDBACK)).json()["data"]) == 1


@pytest.mark.parametrize(
    "limits", [ConversationLimits(messages=1), ConversationLimits(size_bytes=0)]
)
async def test_a_conversation_takes_no_more_than_it_may(
    database: Database, tenant: TenantFixture, published: Published, limits: ConversationLimits
) -> None:
    services = cast("Services", SimpleNamespace(conversations=limits))
    async with database.transaction(tenant.access) as session:
        await add_conversation(session, tenant, published.file_id)
        (found,) = await conversations.list_conversations(session, tenant.principal_id, limit=2)
        with pytest.raises(TooManyRequests):
            await asking._require_room(session, services, found)


async def test_conversations_of_before_are_forgotten(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    old, new = await begin(client, "old"), await begin(client, "new")
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE conversation SET updated_at = now() - interval '8 days' WHERE id = %s", (old,)
        )
    spent = SpentConversations(database, None)
    assert await spent._forget(tenant.tenant_id) == 0
    spent = SpentConversations(database, timedelta(days=7))
    assert await spent._forget(tenant.tenant_id) == 1
    assert [each["id"] for each in (await client.get(PATH)).json()["data"]] == [new]
    with psycopg.connect(postgres_dsn) as connection:
        marked = connection.execute(
            "SELECT count(*) FROM blob WHERE tenant_id = %s AND destroyed_at IS NOT NULL",
            (tenant.tenant_id,),
        ).fetchone()
    assert marked == (1,)
