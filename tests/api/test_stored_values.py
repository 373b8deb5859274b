"""What PostgreSQL cannot hold is the request's fault, and named by its field."""

import base64
import json

import httpx
import pytest

NUL = "a\0b"


async def add(client: httpx.AsyncClient, **fields: str) -> str:
    answer = await client.post(
        "/v1/files",
        content=b"text",
        params={"name": "a.txt", **fields},
        headers={"Content-Type": "text/plain"},
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/api-keys", {"name": NUL, "scopes": ["files:read"]}),
        ("/v1/batches", {"source": {"name": NUL}}),
        ("/v1/batches", {"source": {"name": "open", "prefix": NUL}}),
        ("/v1/batches", {"source": {"name": "open", "collection": NUL}}),
    ],
)
async def test_a_text_with_nul_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("change", [{"collection": NUL}, {"labels": [NUL]}, {"name": NUL}])
async def test_a_change_with_nul_is_refused(
    client: httpx.AsyncClient, change: dict[str, object]
) -> None:
    file_id = await add(client)
    answer = await client.patch(f"/v1/files/{file_id}", json=change)
    assert answer.status_code == 422, answer.text


async def test_a_reason_with_nul_is_refused(client: httpx.AsyncClient) -> None:
    job = (await client.get(f"/v1/files/{await add(client)}")).json()["job"]
    answer = await client.post(f"/v1/jobs/{job['id']}/release", json={"reason": NUL})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("number", [-1, 2**31, 2**63, 10**40])
async def test_a_cursor_beyond_every_number_is_refused(
    client: httpx.AsyncClient, number: int
) -> None:
    file_id = await add(client)
    cursor = base64.urlsafe_b64encode(json.dumps({"number": number}).encode()).decode()
    answer = await client.get(f"/v1/files/{file_id}/versions", params={"cursor": cursor})
    assert answer.status_code == 400, answer.text


async def test_a_cursor_with_nul_is_refused(client: httpx.AsyncClient) -> None:
    place = {"order": "name", "value": NUL, "id": await add(client)}
    cursor = base64.urlsafe_b64encode(json.dumps(place).encode()).decode()
    answer = await client.get("/v1/files", params={"sort": "name", "cursor": cursor})
    assert answer.status_code == 400, answer.text


async def test_many_changes_bring_no_more_metadata_than_one_may(client: httpx.AsyncClient) -> None:
    file_id = await add(client)
    fields = {f"field {number}": number for number in range(200)}
    path = f"/v1/files/{file_id}"
    assert (await client.patch(path, json={"metadata": fields})).status_code == 200
    refused = await client.patch(path, json={"metadata": {"one more": 1}})
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["field"] == "metadata"
    exchanged = await client.patch(path, json={"metadata": {"field 0": None, "one more": 1}})
    assert exchanged.status_code == 200, exchanged.text


async def test_nested_metadata_do_not_grow_without_end(client: httpx.AsyncClient) -> None:
    path = f"/v1/files/{await add(client)}"
    half = "x" * (600 * 1024)
    assert (await client.patch(path, json={"metadata": {"in": {"a": half}}})).status_code == 200
    refused = await client.patch(path, json={"metadata": {"in": {"b": half}}})
    assert refused.status_code == 422, refused.text
    shown = (await client.get(path)).json()
    assert list(shown["metadata"]["in"]) == ["a"]
