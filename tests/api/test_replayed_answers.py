"""A first answer is not repeated that tells what a file was which is erased, or is to be."""

from collections.abc import Mapping
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import text

from db.models import new_id
from db.queries.erasure import erase_idempotency_responses
from db.session import Database
from tests.api.test_upload import upload
from tests.conftest import TenantFixture

KEY = {"Idempotency-Key": "first"}


@pytest.fixture
def hold() -> Mapping[str, object]:
    return {"matter": "Quay", "custodians": []}


@pytest.mark.parametrize("is_held", [False, True])
async def test_an_upload_is_not_answered_again_from_the_moment_its_erasure_is_accepted(
    client: httpx.AsyncClient, hold: Mapping[str, object], is_held: bool
) -> None:
    made = await upload(client, b"x", "vermilion.txt", KEY)
    file_id = made.json()["id"]
    again = await upload(client, b"x", "vermilion.txt", KEY)
    assert (again.status_code, again.json()) == (202, made.json())
    if is_held:
        placed = await client.post(
            "/v1/legal-holds", json={**hold, "items": [{"file_id": file_id}]}
        )
        assert placed.status_code == 201, placed.text
    order = {"file_id": file_id}
    accepted = await client.post("/v1/erasures", json=order, headers=KEY)
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["state"] == ("held" if is_held else "executing")
    refused = await upload(client, b"x", "vermilion.txt", KEY)
    assert refused.status_code == 410, refused.text
    assert "vermilion" not in refused.text
    other = await upload(client, b"y", "vermilion.txt", KEY)
    assert other.status_code == 422, "which body it was is no secret to whoever has it"
    ordered = await client.post("/v1/erasures", json=order, headers=KEY)
    assert (ordered.status_code, ordered.json()) == (202, accepted.json())


async def test_answers_of_other_files_are_repeated(
    client: httpx.AsyncClient,
) -> None:
    made = await upload(client, b"x", "one.txt", KEY)
    other = await upload(client, b"y", "other.txt")
    await client.post("/v1/erasures", json={"file_id": other.json()["id"]})
    again = await upload(client, b"x", "one.txt", KEY)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.json() == made.json()


async def test_an_answer_to_openais_clients_is_neither_repeated_nor_kept(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    file_id = (await upload(client, b"x", "one.txt")).json()["id"]
    store = (await client.post("/openai/v1/vector_stores", json={"name": "all"})).json()["id"]
    path = f"/openai/v1/vector_stores/{store}/files"
    held = {"file_id": f"file-{file_id.replace('-', '')}", "attributes": {"matter": "vermilion"}}
    first = await client.post(path, json=held, headers=KEY)
    assert (first.status_code, "vermilion" in first.text) == (200, True), first.text
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE file SET state = 'erasing' WHERE id = %s", (file_id,))
    again = await client.post(path, json=held, headers=KEY)
    assert again.status_code == 410, again.text
    count = text("SELECT count(*) FROM idempotency_key WHERE response::text LIKE '%vermilion%'")
    async with database.transaction(tenant.system) as session:
        await erase_idempotency_responses(session, new_id())
        assert await session.scalar(count) == 1
        await erase_idempotency_responses(session, UUID(file_id))
        assert await session.scalar(count) == 0
