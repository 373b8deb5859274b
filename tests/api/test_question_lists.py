"""`/v1/question-lists`: taken from CSV, steered by whom they belong to, told and given back as CSV."""

import asyncio
import csv
import io
import json
from uuid import UUID

import httpx
import psycopg
import pytest

from api.question_lists.reading import MAX_QUESTIONS, read_questions
from api.question_lists.writing import AnsweredRow, heading, written
from db.session import Access, Database
from muniment.contracts.answer_questions import (
    CitedPlace,
    Grades,
    ListedAnswer,
    ListedQuestion,
)
from muniment.errors import Unprocessable, UnsupportedMediaType
from muniment.objects import SealedTexts
from muniment.objects.sealed_texts import answer_place
from muniment.settings import load_settings
from muniment.stores import Stores, open_stores
from tests.api.conftest import ApiProcess, audit_actions, client_of
from tests.conftest import TenantFixture
from tests.patience import on_a_busy_machine
from tests.retrieval.published import publish_file, set_state

PATH = "/v1/question-lists"
CSV = "text/csv; charset=utf-8"
TWO = "id,question\r\na,when?\r\nb,=cmd|' /C calc'!A0\r\n"


@pytest.fixture
def stores(api: ApiProcess, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The stores of the API process, opened a second time as a worker does."""
    monkeypatch.setenv("MUNIMENT_OBJECTS__ROOT", str(api.home / "objects"))
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(api.home / "keys"))
    return open_stores(load_settings())


async def made(client: httpx.AsyncClient, content: str = TWO, query: str = "") -> dict[str, object]:
    answered = await client.post(
        PATH + query, content=content.encode(), headers={"Content-Type": CSV}
    )
    assert answered.status_code == 202, answered.text
    found: dict[str, object] = answered.json()
    return found


def changed(dsn: str, statement: str, *values: object) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement, values)


# ── what comes in ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"question\nwhen?\n", "text/csv"),
        ("question\nwhen?\n".encode("utf-8-sig"), "text/csv"),
        ("question\nwhen?\n".encode("utf-16"), "text/csv"),
        (b"Question;Expected page\nwhen?;3\n", "text/csv"),
        (b'id\t"question"\n1\twhen?\n', "text/csv"),
        (b"id;question\r1;when?\r", "text/csv"),
        ("question\nwhen?\n".encode("utf-16-le"), "text/csv; charset=UTF-16LE"),
        ('question\n"when?"\n\n , \n'.replace(" , ", "").encode(), "text/csv; header=present"),
    ],
)
def test_a_file_is_read_however_it_was_saved(content: bytes, content_type: str) -> None:
    (row,) = read_questions(content, content_type)
    assert (row.number, row.question.text) == (2, "when?")


def test_a_row_says_what_is_expected() -> None:
    content = (
        "question,id,expected_answer,expected_file,expected_page,filter\r\n"
        '"wer, ""und"" wann\nim März?",7,1999,Übersicht.pdf,3,"{""label"": ""x""}"\r\n'
    )
    (row,) = read_questions(content.encode("latin-1"), "text/csv; charset=latin-1")
    assert row.question == ListedQuestion(
        text='wer, "und" wann\nim März?',
        id="7",
        expected_answer="1999",
        expected_file="Übersicht.pdf",
        expected_page=3,
        filter={"label": "x"},
    )


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"question\nwhen?\n\xff\n", "row 3"),
        (b"id\n1\n", "row 1"),
        (b"question" + b"," * 1_000_000, "row 1"),
        (b"question,question\na,b\n", "row 1"),
        (b"question,colour\na,b\n", "row 1"),
        (b'question\nwhen?\n"who', "row 3"),
        (b"question,expected_page\nwhen?,3\nwho?,three\n", "row 3"),
        (b"question,expected_page\nwhen?,0\n", "row 2"),
        (b"question,expected_page\nwhen?,99999999999999999999\n", "row 2"),
        (b"question,filter\nwhen?,{\n", "row 2"),
        (b"question,filter\nwhen?,[]\n", "row 2"),
        (b'question,filter\nwhen?,"{""created"": 7}"\n', "row 2"),
        (b"question,id\n,1\n", "row 2"),
        (b"question\nwhen?,who?\n", "row 2"),
        (b"question\nwh\0en?\n", "row 2"),
        (b"question\n" + b"w" * 2_001 + b"\n", "row 2"),
    ],
)
def test_what_is_wrong_is_told_by_its_row(content: bytes, where: str) -> None:
    with pytest.raises(Unprocessable) as raised:
        read_questions(content, "text/csv")
    assert [each["field"] for each in raised.value.errors] == [where]
    assert raised.value.remedy


@pytest.mark.parametrize(
    "content",
    [b"", b"question\n", b"question\n" + b"when?\n" * (MAX_QUESTIONS + 1)],
)
def test_no_questions_and_too_many_are_refused(content: bytes) -> None:
    with pytest.raises(Unprocessable):
        read_questions(content, "text/csv")


def test_every_wrong_row_is_told_at_once_up_to_a_bound() -> None:
    with pytest.raises(Unprocessable) as raised:
        read_questions(b"question,expected_page\n" + b"when?,x\n" * 200, "text/csv")
    assert len(raised.value.errors) == 50


def test_what_is_no_csv_is_refused() -> None:
    with pytest.raises(UnsupportedMediaType):
        read_questions(b"question\nwhen?\n", "application/json")


@pytest.mark.parametrize(
    "charset",
    ["=klingon", "=hex", "=idna", "=punycode", "=unicode_escape", "*=utf-8''utf%00-8"],
)
def test_a_charset_is_one_of_a_few(charset: str) -> None:
    with pytest.raises(Unprocessable, match="charset"):
        read_questions(b"question\nwhen?\n", f"text/csv; charset{charset}")


# ── what comes out ──────────────────────────────────────────────────────────────────────────────


def test_what_would_be_a_formula_is_text_and_nothing_else_is_changed() -> None:
    formulas = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1")
    answers = [ListedAnswer(answer=each, reasons=(each,), model=each) for each in formulas]
    rows = [
        AnsweredRow(2, ListedQuestion(text=each, id=each, expected_file=each), "answered", said, 0)
        for each, said in zip(formulas, answers, strict=True)
    ]
    plain = AnsweredRow(3, ListedQuestion(text='a "b",\nc = d'), "answered", ListedAnswer(), 0)
    read = list(csv.reader(io.StringIO((heading() + written([*rows, plain])).decode(), newline="")))
    for cells, formula in zip(read[1:], formulas, strict=False):
        assert [cell for cell in cells if cell.startswith(formula)] == []
        assert len([cell for cell in cells if cell.replace("'", "") == formula]) == 6
    assert read[-1][2] == 'a "b",\nc = d'


@pytest.mark.parametrize("words", ["a;=1", "a; =1", 'a;"=1', "a\t=1", "a\n=1", "a\r@1", " =1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_separates_cells(words: str, delimiter: str) -> None:
    said = ListedAnswer(answer=words, reasons=("x", words), citations=(cited(words),))
    row = AnsweredRow(2, ListedQuestion(text=words, expected_answer=words), "answered", said, 0)
    lines = io.StringIO((heading() + written([row])).decode(), newline="")
    for cells in csv.reader(lines, delimiter=delimiter):
        assert [cell for cell in cells if cell.strip(' "').startswith(("=", "+", "-", "@"))] == []
    (told,) = csv.DictReader(io.StringIO((heading() + written([row])).decode(), newline=""))
    assert json.loads(told["citations"])[0]["quote"] == words


def cited(quote: str) -> CitedPlace:
    return CitedPlace(
        n=1, file_id=UUID(int=1), file="a.pdf", version=1, page=3, quote=quote, verified=True
    )


def test_citations_and_grades_are_told() -> None:
    said = ListedAnswer(
        answer="x [1]",
        citations=(cited("= words"),),
        milliseconds=12.4,
        grades=Grades(exact_match=1.0, page_cited=0.0),
    )
    row = AnsweredRow(2, ListedQuestion(text="q", expected_page=4), "answered", said, 7)
    (cells,) = csv.DictReader(io.StringIO((heading() + written([row])).decode(), newline=""))
    (told,) = json.loads(cells["citations"])
    assert (told["file"], told["page"], told["quote"]) == ("a.pdf", 3, "= words")
    assert (cells["verified"], cells["exact_match"], cells["page_cited"]) == (
        "yes",
        "1.000",
        "0.000",
    )
    assert (cells["token_f1"], cells["milliseconds"], cells["tokens"]) == ("", "12", "7")


# ── the routes ──────────────────────────────────────────────────────────────────────────────────


async def test_a_list_is_made_once_for_a_key_and_its_words_lie_sealed(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    headers = {"Content-Type": CSV, "Idempotency-Key": "k"}
    first = await client.post(PATH, content=TWO.encode(), headers=headers)
    assert (first.status_code, first.json()["state"], first.json()["questions"]) == (
        202,
        "queued",
        2,
    )
    assert first.headers["Location"] == f"{PATH}/{first.json()['id']}"
    again = await client.post(PATH, content=TWO.encode(), headers=headers)
    assert again.json() == first.json()
    other = await client.post(PATH + "?top_k=3", content=TWO.encode(), headers=headers)
    assert other.status_code == 422
    with psycopg.connect(postgres_dsn) as connection:
        sealed = connection.execute(
            "SELECT string_agg(question, '') FROM question_list_item WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchone()
    assert sealed is not None
    assert b"when" not in sealed[0]


async def test_wrong_rows_are_told_and_nothing_is_kept(client: httpx.AsyncClient) -> None:
    wrong = await client.post(
        PATH, content=b"question,expected_page\nwhen?,x\n", headers={"Content-Type": CSV}
    )
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "row 2")
    assert (await client.get(PATH)).json()["data"] == []


async def test_it_is_paused_resumed_and_cancelled_with_its_state(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    path = f"{PATH}/{(await made(client, query='?max_tokens=5'))['id']}"
    assert (await client.post(f"{path}/resume")).status_code == 409
    assert (await client.post(f"{path}/pause")).json()["state"] == "paused"
    assert (await client.post(f"{path}/pause")).status_code == 409
    spent = "UPDATE question_list_item SET tokens = 5, outcome = 'unanswered' WHERE ordinal = 0"
    changed(postgres_dsn, spent + " AND tenant_id = %s", tenant.tenant_id)
    assert (await client.post(f"{path}/resume")).status_code == 409
    raised = await client.post(f"{path}/resume", json={"max_tokens": 6})
    assert (raised.json()["state"], raised.json()["max_tokens"]) == ("running", 6)
    assert (raised.json()["done"], raised.json()["percent"]) == (1, 50.0)
    assert (await client.get(f"{path}/answers")).status_code == 409
    assert (await client.delete(path)).status_code == 409
    assert (await client.post(f"{path}/cancel")).json()["state"] == "cancelled"
    assert (await client.post(f"{path}/cancel")).status_code == 409
    read = list(csv.DictReader(io.StringIO((await client.get(f"{path}/answers")).text, newline="")))
    assert [each["outcome"] for each in read] == ["unanswered", "waiting"]
    assert read[1]["question"] == "'=cmd|' /C calc'!A0"
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.get(PATH)).json()["data"] == []
    with psycopg.connect(postgres_dsn) as connection:
        left = connection.execute(
            "SELECT count(*) FROM question_list_item WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert left == (0,)
    steps = ("requested", "paused", "resumed", "cancelled", "read", "deleted")
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert {f"question_list.{step}" for step in steps} <= set(actions)


async def test_a_download_that_lost_its_rows_breaks_off(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    path = f"{PATH}/{(await made(client))['id']}"
    await client.post(f"{path}/cancel")
    gone = "DELETE FROM question_list_item WHERE ordinal = 1 AND tenant_id = %s"
    changed(postgres_dsn, gone, tenant.tenant_id)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(f"{path}/answers")


async def test_nobody_else_sees_it(api: ApiProcess, client: httpx.AsyncClient) -> None:
    person = (await client.post("/v1/principals", json={"kind": "user", "name": "ada"})).json()
    body = {"name": "k", "scopes": ["search"], "principal_id": person["id"]}
    key = (await client.post("/v1/api-keys", json=body)).json()
    mine = f"{PATH}/{(await made(client))['id']}"
    async with client_of(api, key["secret"]) as ada:
        assert (await ada.get(PATH)).json()["data"] == []
        for path in (mine, f"{mine}/answers", f"{mine}/events"):
            assert (await ada.get(path)).status_code == 404
        for act in ("pause", "resume", "cancel"):
            assert (await ada.post(f"{mine}/{act}")).status_code == 404
        assert (await ada.delete(mine)).status_code == 404
        hers = f"{PATH}/{(await made(ada))['id']}"
    assert (await client.get(hers)).status_code == 404


async def test_so_many_are_open_at_once_of_a_principal_and_at_work_of_a_tenant(
    api: ApiProcess, client: httpx.AsyncClient
) -> None:
    async def another(of: httpx.AsyncClient) -> int:
        sent = await of.post(PATH, content=TWO.encode(), headers={"Content-Type": CSV})
        return sent.status_code

    person = (await client.post("/v1/principals", json={"kind": "user", "name": "ada"})).json()
    body = {"name": "k", "scopes": ["search"], "principal_id": person["id"]}
    key = (await client.post("/v1/api-keys", json=body)).json()
    paused, *_ = [f"{PATH}/{(await made(client))['id']}" for _ in range(3)]
    assert (await client.post(f"{paused}/pause")).status_code == 200
    assert await another(client) == 429, "a paused one is open"
    async with client_of(api, key["secret"]) as ada:
        hers = [f"{PATH}/{(await made(ada))['id']}" for _ in range(3)]
        assert (await client.post(f"{paused}/resume")).status_code == 429, "five are at work"
        assert (await ada.post(f"{hers[0]}/cancel")).status_code == 200
    assert (await client.post(f"{paused}/resume")).status_code == 200


async def test_a_model_that_is_not_there_is_not_asked_a_thousand_times(
    client: httpx.AsyncClient,
) -> None:
    refused = await client.post(
        f"{PATH}?generate=llm", content=TWO.encode(), headers={"Content-Type": CSV}
    )
    assert (refused.status_code, "language model" in refused.json()["detail"]) == (422, True)


async def test_lists_come_newest_first_page_by_page(client: httpx.AsyncClient) -> None:
    ids = [(await made(client))["id"] for _ in range(3)]
    first = (await client.get(f"{PATH}?limit=2")).json()
    rest = (await client.get(f"{PATH}?limit=2&cursor={first['next_cursor']}")).json()
    assert [each["id"] for each in (*first["data"], *rest["data"])] == ids[::-1]


async def test_a_viewer_is_told_each_change_and_the_end(client: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await made(client))['id']}"
    told: list[str] = []
    async with (
        asyncio.timeout(on_a_busy_machine(30)),
        client.stream("GET", f"{path}/events") as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                told.append(line.removeprefix("event: "))
                if len(told) == 1:
                    await client.post(f"{path}/cancel")
    assert told[0] == "state"
    assert told[-1] == "end"


async def test_an_answer_is_withheld_while_its_file_is_out_of_reach(
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
    database: Database,
    stores: Stores,
) -> None:
    access = Access(tenant.tenant_id, tenant.principal_id)
    file = await publish_file(database, access, tenant.collection_id, ["The oak."])
    list_id = UUID(str((await made(client))["id"]))
    path = f"{PATH}/{list_id}"
    texts = SealedTexts(stores.blobs)
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT text_key_id FROM question_list WHERE id = %s", (list_id,)
        ).fetchone()
        assert row is not None
        key = await texts.key(tenant.tenant_id, row[0])
        said = ListedAnswer(answer="The oak.").model_dump_json().encode()
        sealed = key.seal(said, answer_place(tenant.tenant_id, list_id, 0))
        connection.execute(
            "UPDATE question_list_item SET answer = %s, outcome = 'answered'"
            " WHERE list_id = %s AND ordinal = 0",
            (sealed, list_id),
        )
        connection.execute(
            "INSERT INTO question_list_source VALUES (%s, 0, %s, %s)",
            (list_id, file.file_id, tenant.tenant_id),
        )
    await client.post(f"{path}/cancel")

    async def told() -> dict[str, str]:
        text = (await client.get(f"{path}/answers")).text
        return next(iter(csv.DictReader(io.StringIO(text, newline=""))))

    assert ((await told())["outcome"], (await told())["answer"]) == ("answered", "The oak.")
    await set_state(database, access, file.file_id, "trashed")
    withheld = await told()
    assert (withheld["outcome"], withheld["answer"]) == ("withheld", "")
