"""Doors that have a file read again because its last job failed: what readers see of a held file stays as it
is, also where the job that failed was of a following version. What nobody read yet is read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest

from tests.patience import on_a_busy_machine

PRESERVED = "urn:muniment:problem:preserved"
Door = Callable[[httpx.AsyncClient, dict[str, str]], Awaitable[httpx.Response]]

DOORS: dict[str, Door] = {
    "retry": lambda client, ids: client.post(f"/v1/jobs/{ids['job']}/retry"),
    "the same again": lambda client, ids: client.post(
        f"/v1/files/{ids['file']}/versions?name=a.txt", content=b"the newest"
    ),
}


async def _failed(
    client: httpx.AsyncClient, postgres_dsn: str, published: list[int], versions: int
) -> tuple[str, str]:
    """A held file with so many versions, of which those are published, and its newest job, which failed."""
    contents = [b"the first one", b"the newest"][-versions:]
    made = (await client.post("/v1/files?name=a.txt", content=contents[0])).json()
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        for content in contents[1:]:
            path = f"/v1/files/{made['id']}/versions?name=a.txt"
            assert (await client.post(path, content=content)).status_code == 202
        connection.execute(
            "UPDATE file_version SET published_at = now() WHERE file_id = %s AND number = ANY(%s)",
            (made["id"], published),
        )
        connection.execute(
            "UPDATE job SET state = 'failed', started_at = now(), finished_at = now()"
            " WHERE file_id = %s",
            (made["id"],),
        )
        connection.execute(
            "UPDATE file SET state = %s WHERE id = %s",
            ("ready" if published else "failed", made["id"]),
        )
    placed = await client.post(
        "/v1/legal-holds", json={"matter": "x", "items": [{"file_id": made["id"]}]}
    )
    assert placed.status_code == 201
    return made["id"], (await client.get(f"/v1/files/{made['id']}")).json()["job"]["id"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("published", "versions"), [([1], 1), ([1], 2), ([1, 2], 2)])
async def test_no_door_reads_again_what_is_held_and_read(
    client: httpx.AsyncClient, postgres_dsn: str, door: str, published: list[int], versions: int
) -> None:
    file_id, job_id = await _failed(client, postgres_dsn, published, versions)
    refused = await DOORS[door](client, {"file": file_id, "job": job_id})
    assert (refused.status_code, refused.json()["type"]) == (409, PRESERVED)
    assert (await client.get(f"/v1/files/{file_id}")).json()["job"]["id"] == job_id


@pytest.mark.parametrize("door", DOORS)
async def test_what_nobody_read_yet_is_read_under_a_hold(
    client: httpx.AsyncClient, postgres_dsn: str, door: str
) -> None:
    file_id, job_id = await _failed(client, postgres_dsn, [], 1)
    assert (await DOORS[door](client, {"file": file_id, "job": job_id})).status_code in (200, 202)
    assert (await client.get(f"/v1/files/{file_id}")).json()["job"]["id"] != job_id


def _has_come_to_it(batch: dict[str, Any]) -> bool:
    """Whether the file was admitted or left out."""
    return batch["state"] in ("completed", "failed") or batch["files"]["running"] > 0


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(("published", "is_read"), [([1], False), ([], True)])
async def test_a_batch_reads_only_what_nobody_read_yet(
    client: httpx.AsyncClient,
    postgres_dsn: str,
    published: list[int],
    is_read: bool,
) -> None:
    file_id, job_id = await _failed(client, postgres_dsn, published, 1)
    made = await client.post("/v1/batches", json={"files": [file_id]})
    assert made.status_code == 202, made.text
    path = f"/v1/batches/{made.json()['id']}"
    async with asyncio.timeout(on_a_busy_machine(30)):
        while not _has_come_to_it((await client.get(path)).json()):  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
    newest = (await client.get(f"/v1/files/{file_id}")).json()["job"]["id"]
    assert (newest != job_id) == is_read
