"""Errors, request ids, logs, health: what every response has in common."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.conftest import ApiProcess

MEMBERS = {"type", "title", "status", "detail", "remedy", "request_id"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/files/not-an-id", 422),
        ("PUT", "/v1/files", 405),
        ("GET", "/v1/files?limit=0", 422),
        ("GET", "/v1/files?cursor=%25%25", 400),
        ("GET", "/v1/files?name~=a%00b", 400),
        ("GET", "/v1/files/%00", 400),
    ],
)
async def test_every_error_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) >= MEMBERS
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-Id"]
    if status == 405:
        assert "GET" in answer.headers["Allow"]


async def test_a_body_that_is_no_json_is_400_and_a_wrong_one_422(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    broken = await client.post("/v1/collections", content=b"{", headers=headers)
    assert broken.status_code == 400
    wrong = await client.post("/v1/collections", json={"name": 7, "extra": "s3cret"})
    assert wrong.status_code == 422
    assert {each["field"] for each in wrong.json()["errors"]} == {"body.name", "body.extra"}
    assert "s3cret" not in wrong.text


async def test_a_long_body_is_refused_announced_or_not(client: httpx.AsyncClient) -> None:
    announced = await client.post("/v1/search", json={"query": "x" * 2_000_000})
    assert announced.status_code == 413

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/search", content=streamed(), headers=headers)
    assert answer.status_code == 413


async def test_a_sane_request_id_is_taken_over_and_another_replaced(
    client: httpx.AsyncClient,
) -> None:
    taken = await client.get("/healthz", headers={"X-Request-Id": "abc-1.2_3"})
    assert taken.headers["X-Request-Id"] == "abc-1.2_3"
    replaced = await client.get("/healthz", headers={"X-Request-Id": "a b<script>"})
    assert replaced.headers["X-Request-Id"] != "a b<script>"
    assert len(replaced.headers["X-Request-Id"]) == 32


async def test_the_log_has_routes_and_ids_but_no_query_strings(
    client: httpx.AsyncClient, api: ApiProcess
) -> None:
    await client.get(
        "/v1/files", params={"name~": "privatename"}, headers={"X-Request-Id": "log-1"}
    )
    async with asyncio.timeout(30):
        while not (access := _access_lines(api, "log-1")):  # noqa: ASYNC110 - another process's log
            await asyncio.sleep(0.05)  # it is written after the answer went out
    assert len(access) == 1
    assert access[0]["route"] == "/v1/files"
    assert access[0]["status"] == 200
    assert access[0]["tenant_id"]
    assert access[0]["trace_id"]
    text = (api.home / "api.jsonl").read_text(encoding="utf-8")
    assert "privatename" not in text
    assert "mun_" not in text


def _access_lines(api: ApiProcess, request_id: str) -> list[dict[str, object]]:
    lines = [line for line in api.log_lines if line.get("request_id") == request_id]
    return [line for line in lines if line["event"] == "request"]


async def test_health_needs_no_key(api: ApiProcess) -> None:
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=30) as anyone:
        assert (await anyone.get("/healthz")).json() == {"status": "ok"}
        ready = await anyone.get("/readyz")
        assert ready.status_code == 200, ready.text
        states = {each["name"]: each for each in ready.json()["dependencies"]}
        assert {"database", "objects", "temporal", "scanner", "embedding", "vector_graphs"} <= set(
            states
        )
        assert states["database"]["state"] == "ok"
        assert states["scanner"]["state"] == "degraded"
        assert "UNSCANNED" in states["scanner"]["reason"]
        assert ready.json()["degraded"] is True
        assert (await anyone.get("/openapi.json")).json()["openapi"].startswith("3.")


async def test_metrics_count_routes_without_ids(client: httpx.AsyncClient) -> None:
    await client.get("/v1/files/0198f000-0000-7000-8000-000000000001")
    text = (await client.get("/metrics")).text
    assert 'muniment_http_requests_total{method="GET",route="/v1/files/{file_id}"' in text
    assert "0198f000" not in text
