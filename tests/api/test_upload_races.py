"""An upload into a collection that is deleted while it comes in."""

import asyncio

import httpx
import psycopg

from tests.blocked import until_blocked_by


async def test_an_upload_into_a_collection_that_is_being_deleted_finds_none(
    client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    collection_id = (await client.post("/v1/collections", json={"name": "law"})).json()["id"]
    with psycopg.connect(postgres_dsn) as deleting:
        deleting.execute("DELETE FROM collection WHERE id = %s", (collection_id,))
        upload = asyncio.create_task(
            client.post("/v1/files?name=a.txt&collection=law", content=b"too late")
        )
        await until_blocked_by(deleting)
        deleting.commit()
        answer = await upload
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ["collection"]
    assert (await client.get("/v1/files")).json()["data"] == []
