"""`/v1/integrity`: asked for once at a time, listed newest first, and the tenant's own."""

import httpx
import psycopg

from db.models import new_id
from tests.conftest import TenantFixture


async def test_a_run_that_is_open_answers_with_itself(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    first = await client.post("/v1/integrity/verify")
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    assert (await client.post("/v1/integrity/verify")).json() == first.json()
    shown = (await client.get("/v1/integrity")).json()
    assert shown == {"data": [first.json()], "next_cursor": None, "open_faults": 0, "faults": []}
    other = (await stranger.post("/v1/integrity/verify")).json()
    assert [run["id"] for run in (await stranger.get("/v1/integrity")).json()["data"]] == [
        other["id"]
    ]
    assert other["id"] != first.json()["id"]


async def test_runs_and_faults_are_listed_page_by_page(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    files = [
        (await client.post(f"/v1/files?name={number}.txt", content=bytes([number]))).json()
        for number in range(3)
    ]
    with psycopg.connect(postgres_dsn) as connection:
        for number, file in enumerate(files):
            connection.execute(
                "INSERT INTO integrity_run (id, tenant_id, workflow_id, state, created_at,"
                " finished_at, blobs, looked_again, bytes, faults_found, faults_closed,"
                " is_cut_short) VALUES (%s, %s, 'w', 'completed', now() + %s * interval '1 s',"
                " now(), %s, 0, 0, 0, 0, false)",
                (new_id(), tenant.tenant_id, number, number),
            )
            connection.execute(
                "INSERT INTO integrity_fault (id, tenant_id, blob_id, kind, first_seen_at,"
                " last_seen_at) SELECT %s, tenant_id, blob_id, 'seal-broken',"
                " now() + %s * interval '1 s', now() FROM file_version WHERE file_id = %s",
                (new_id(), number, file["id"]),
            )
    runs, cursor = list[int](), ""
    while cursor is not None:
        page = (await client.get(f"/v1/integrity?limit=2{cursor}")).json()
        runs += [run["blobs"] for run in page["data"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert runs == [2, 1, 0]
    assert (page["open_faults"], len(page["faults"])) == (3, 3)
    needed, cursor = list[dict[str, object]](), ""
    while cursor is not None:
        page = (await client.get(f"/v1/integrity/faults?limit=2{cursor}")).json()
        needed += [each for fault in page["data"] for each in fault["needed_by"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert needed == [{"file_id": file["id"], "version": 1, "role": "content"} for file in files]
    assert (await stranger.get("/v1/integrity/faults")).json()["data"] == []
    assert (await stranger.get("/v1/integrity")).json()["open_faults"] == 0
