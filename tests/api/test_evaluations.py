"""`/v1/evaluations`: started once, compared with the run before, told to whom they belong."""

import asyncio
from pathlib import Path
from xml.etree import ElementTree

import httpx
import psycopg
import pytest
from psycopg.types.json import Json
from temporalio.client import Client, WorkflowExecutionStatus

from api.evaluations.plots import Bar, bars
from muniment.contracts.evaluate_retrieval import workflow_id
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.conftest import TenantFixture, free_port, make_tenant

PATH = "/v1/evaluations"
SET = {
    "name": "<b>trees</b>",
    "questions": [
        {"id": "q1", "text": "<script>alert('oak')</script>", "relevant": {"oak.txt": 1}},
        {"id": "q2", "text": "elm", "answers": ["The elm"]},
    ],
}


def ended(dsn: str, run_id: str, figures: dict[str, float]) -> None:
    """The run as a worker leaves it."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE evaluation_run SET state = 'completed', finished_at = now() WHERE id = %s",
            (run_id,),
        )
        connection.execute(
            "INSERT INTO evaluation_result (run_id, ordinal, tenant_id, figures)"
            " SELECT id, 0, tenant_id, %s FROM evaluation_run WHERE id = %s",
            (Json(figures), run_id),
        )
        for name, value in figures.items():
            connection.execute(
                "INSERT INTO evaluation_metric (run_id, name, tenant_id, value)"
                " SELECT id, %s, tenant_id, %s FROM evaluation_run WHERE id = %s",
                (name, value, run_id),
            )


async def test_a_run_of_a_set_is_at_work_once_and_compared_with_the_one_before(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    first = await client.post(PATH, json=SET)
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    assert first.headers["Location"] == f"{PATH}/{first.json()['id']}"
    again = (await client.post(PATH, json={**SET, "name": "renamed"})).json()
    assert (again["id"], again["name"]) == (first.json()["id"], "renamed")
    ended(postgres_dsn, again["id"], {"ndcg@10": 0.7, "search_ms_p50": 10.0})
    second = (await client.post(PATH, json=SET)).json()
    assert second["id"] != again["id"]
    assert second["set_id"] == again["set_id"]
    assert second["compared_with"] == again["id"]
    ended(postgres_dsn, second["id"], {"ndcg@10": 0.6, "search_ms_p50": 11.0})
    shown = (await client.get(f"{PATH}/{second['id']}")).json()
    assert [(each["name"], each["before"], each["is_worse"]) for each in shown["metrics"]] == [
        ("ndcg@10", 0.7, True),
        ("search_ms_p50", 10.0, False),
    ]
    listed = (await client.get(f"{PATH}?limit=1")).json()
    assert [each["id"] for each in listed["data"]] == [second["id"]]
    rest = (await client.get(f"{PATH}?limit=1&cursor={listed['next_cursor']}")).json()
    assert [each["id"] for each in rest["data"]] == [again["id"]]


async def test_the_report_is_one_page_that_runs_nothing(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    run_id = (await client.post(PATH, json=SET)).json()["id"]
    assert (await client.get(f"{PATH}/{run_id}/report")).status_code == 409
    ended(postgres_dsn, run_id, {"ndcg@10": 0.25, "tokens": 3.0})
    report = await client.get(f"{PATH}/{run_id}/report")
    assert report.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in report.headers["Content-Security-Policy"]
    assert "<script" not in report.text
    assert "<b>trees" not in report.text
    assert "&lt;script&gt;alert" in report.text
    assert "http" not in report.text
    assert report.text.count("<svg role=") == 2
    assert '<th scope="row">ndcg@10</th><td class=number>0.250</td>' in report.text


@pytest.mark.parametrize(("before", "keys"), [(None, 0), (0.5, 1)])
def test_bars_stand_on_a_scale_and_say_what_they_are(before: float | None, keys: int) -> None:
    drawn = bars([Bar("recall@10", 1.0, before), Bar("mrr", 0.25, None)], "Shares from 0 to 1.")
    assert "<figcaption>Shares from 0 to 1.</figcaption>" in drawn
    assert [f">{tick:.2f}</text>" in drawn for tick in (0, 0.25, 0.5, 0.75, 1)] == [True] * 5
    assert (drawn.count(">this run<"), drawn.count(">the run before<")) == (keys, keys)
    picture = ElementTree.fromstring(drawn)[1]  # noqa: S314 - our own
    ends = {
        float(each.attrib["x"]) + float(each.attrib["width"])
        for each in picture.iter("rect")
        if each.attrib["class"] == "now" and float(each.attrib["height"]) > 0
    }
    # A bar of 1 ends at the line that is called 1.00.
    assert max(float(each.attrib["x1"]) for each in picture.iter("line")) in ends


async def test_a_set_is_deleted_with_its_questions_and_runs(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    run_id = (await client.post(PATH, json={**SET, "nightly": True})).json()["id"]
    assert (await client.delete(f"{PATH}/{run_id}")).status_code == 409
    ended(postgres_dsn, run_id, {"ndcg@10": 1.0})
    assert (await client.delete(f"{PATH}/{run_id}")).status_code == 204
    assert (await client.get(f"{PATH}/{run_id}")).status_code == 404
    with psycopg.connect(postgres_dsn) as connection:
        for table in ("set", "question", "run", "result", "metric"):
            found = connection.execute(
                f"SELECT count(*) FROM evaluation_{table} WHERE tenant_id = %s",  # noqa: S608
                (tenant.tenant_id,),
            ).fetchone()
            assert found == (0,), table
    actions = audit_actions(postgres_dsn, tenant.tenant_id)
    assert {"evaluation.requested", "evaluation.deleted"} <= set(actions)


async def test_a_cancelled_run_that_has_no_workflow_of_its_own_ends_with_what_it_has(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    run_id = (await client.post(PATH, json=SET)).json()["id"]
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE evaluation_run SET workflow_id = 'by night' WHERE id = %s", (run_id,)
        )
        connection.execute(
            "INSERT INTO evaluation_result (run_id, ordinal, tenant_id, figures)"
            " SELECT id, 0, tenant_id, %s FROM evaluation_run WHERE id = %s",
            (Json({"ndcg@10": 0.5}), run_id),
        )
    cancelled = await client.post(f"{PATH}/{run_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    shown = (await client.get(f"{PATH}/{run_id}")).json()
    assert (shown["state"], shown["metrics"][0]["value"]) == ("cancelled", 0.5)
    assert (await client.post(f"{PATH}/{run_id}/cancel")).status_code == 409


async def test_others_of_the_tenant_do_not_see_it_and_administrators_do(
    api: ApiProcess, client: httpx.AsyncClient
) -> None:
    person = (await client.post("/v1/principals", json={"kind": "user", "name": "ada"})).json()
    key = await client.post(
        "/v1/api-keys",
        json={
            "name": "k",
            "scopes": ["search", "jobs:write", "audit:read"],
            "principal_id": person["id"],
        },
    )
    mine = (await client.post(PATH, json=SET)).json()
    async with client_of(api, key.json()["secret"]) as ada:
        assert (await ada.get(PATH)).json()["data"] == []
        assert (await ada.get(f"{PATH}/{mine['id']}")).status_code == 404
        assert (await ada.delete(f"{PATH}/{mine['id']}")).status_code == 404
        hers = (await ada.post(PATH, json=SET)).json()
    assert hers["set_id"] != mine["set_id"]
    assert {each["id"] for each in (await client.get(PATH)).json()["data"]} == {
        hers["id"],
        mine["id"],
    }


async def test_a_key_for_searching_alone_looks_at_its_own_and_changes_nothing(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    person = (await client.post("/v1/principals", json={"kind": "user", "name": "ada"})).json()
    keys = [
        await client.post("/v1/api-keys", json={"name": "k", "scopes": scopes, "principal_id": who})
        for scopes, who in (
            (["search", "jobs:write"], person["id"]),
            (["search"], str(tenant.principal_id)),
        )
    ]
    async with client_of(api, keys[0].json()["secret"]) as ada:
        hers = f"{PATH}/{(await ada.post(PATH, json=SET)).json()['id']}"
    async with client_of(api, keys[1].json()["secret"]) as searching:
        mine = f"{PATH}/{(await client.post(PATH, json=SET)).json()['id']}"
        assert (await searching.get(mine)).status_code == 200
        assert (await searching.get(hers)).status_code == 404
        assert (await searching.post(PATH, json=SET)).status_code == 403
        assert (await searching.post(f"{mine}/cancel")).status_code == 403
        assert (await searching.delete(mine)).status_code == 403
    assert (await client.get(hers)).status_code == 200


async def test_what_temporal_did_not_start_is_started_by_the_same_request_again(
    api_environment: dict[str, str],
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    tmp_path: Path,
    temporal_address: str,
) -> None:
    environment = {**api_environment, "MUNIMENT_TEMPORAL__ADDRESS": f"127.0.0.1:{free_port()}"}
    headers = {"Idempotency-Key": "once"}
    without_temporal = await asyncio.to_thread(start_api, tmp_path / "home", environment)
    try:
        async with client_of(without_temporal, tenant.api_key) as early:
            away = await early.post(PATH, json=SET, headers=headers)
            assert away.status_code == 503
    finally:
        assert await asyncio.to_thread(stop_api, without_temporal) == 0
    run_id = (await client.post(PATH, json=SET, headers=headers)).json()["id"]
    temporal = await Client.connect(temporal_address)
    description = await temporal.get_workflow_handle(workflow_id(run_id)).describe()
    assert description.status == WorkflowExecutionStatus.RUNNING


QUESTION = {"id": "q", "text": "oak", "relevant": {"a": 1}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"questions": []},
        {"questions": [{"id": "q", "text": "oak"}]},
        {"questions": [QUESTION, QUESTION]},
        {"questions": [{**QUESTION, "relevant": {"a": 0}}]},
        {"questions": [{**QUESTION, "relevant": {"a\0": 1}}]},
        {"questions": [{**QUESTION, "text": " "}]},
        {"questions": [{**QUESTION, "text": "x" * 2_001}]},
        {"questions": [{**QUESTION, "id": f"q{number}"} for number in range(2_001)]},
        {"identified_by": "metadata."},
        {"judge": True},
        {"tolerance": 2},
        {"name": ""},
        {"surprise": 1},
    ],
    ids=str,
)
async def test_what_is_no_set_is_refused(
    client: httpx.AsyncClient, wrong: dict[str, object]
) -> None:
    answer = await client.post(PATH, json={"name": "set", "questions": [QUESTION], **wrong})
    assert answer.status_code == 422, answer.text


async def test_a_tenant_has_so_many_at_work_and_by_night(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    runs = []
    for number in range(10):
        question = {**QUESTION, "text": f"oak {number}"}
        body = {"name": "set", "questions": [question], "nightly": True}
        runs.append((await client.post(PATH, json=body)).json()["id"])
    extra = {"name": "set", "questions": [QUESTION], "nightly": True}
    refused = await client.post(PATH, json=extra)
    assert (refused.status_code, refused.headers["Retry-After"].isdecimal()) == (429, True)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO evaluation_set SELECT gen_random_uuid(), tenant_id, principal_id, name,"
            " sha256(digest), created_at, is_nightly, mode, collection, identified_by, answers,"
            " is_judged, tolerance, question_count FROM evaluation_set WHERE id IN"
            " (SELECT set_id FROM evaluation_run WHERE id = ANY(%s))",
            (runs,),
        )
        connection.execute(
            "UPDATE evaluation_run SET finished_at = now(), state = 'failed' WHERE id = ANY(%s)",
            (runs,),
        )
    assert (await client.post(PATH, json=extra)).status_code == 409
    assert (await client.post(PATH, json={**extra, "nightly": False})).status_code == 202


async def test_nothing_of_a_tenant_is_another_ones(
    api: ApiProcess, client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    mine = (await client.post(PATH, json=SET)).json()
    async with client_of(api, make_tenant(postgres_dsn).api_key) as stranger:
        assert (await stranger.get(PATH)).json()["data"] == []
        theirs = (await stranger.post(PATH, json=SET)).json()
    assert theirs["set_id"] != mine["set_id"]


async def test_the_same_set_posted_by_many_at_once_is_one_run(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post(PATH, json=SET) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_repeated_request_is_answered_as_the_first(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "nightly"}
    first = await client.post(PATH, json=SET, headers=headers)
    again = await client.post(PATH, json=SET, headers=headers)
    assert again.json() == first.json()
    other = {**SET, "name": "another"}
    assert (await client.post(PATH, json=other, headers=headers)).status_code == 422
