"""Blows while files come in and go out: every acknowledged upload is there and whole, every failed one
was reported as such, and what is left behind is swept away."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator

import httpx
import psutil
import psycopg
import pytest

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.installation import Installation, installed
from tests.chaos.transfers import Transfers
from tests.patience import on_a_busy_machine

pytestmark = pytest.mark.timeout(900)

MOST_DESCRIPTORS = 100
MOST_THREADS = 90
"""Of an API whose requests have all ended: its pools and its engines', with room to spare."""
TELLING = {
    "api killed",
    "postgres killed",
    "store killed",
    "store full",
}
"""Those of the default run; a killed API cuts its clients off as well."""
MOST_DESCRIBED = 90
"""Files that may come in before a disk without a free byte is noticed: pages have room for some rows."""


@pytest.fixture(scope="module")
def over_s3(
    temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("over-s3") / "home"
    with installed(home, temporal_address, on_s3=True) as installation:
        yield installation


@pytest.fixture(scope="module")
def over_folder(
    temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("over-folder") / "home"
    with installed(home, temporal_address, on_s3=False) as installation:
        yield installation


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in TELLING)) for name in FAULTS],
)
async def test_over_s3_what_was_acknowledged_is_whole_and_what_failed_was_told(
    over_s3: Installation, name: str
) -> None:
    await _withstand(over_s3, FAULTS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.is_of_s3])
async def test_over_a_folder_what_was_acknowledged_is_whole_and_what_failed_was_told(
    over_folder: Installation, name: str
) -> None:
    await _withstand(over_folder, FAULTS[name])


async def _withstand(installation: Installation, fault: Fault) -> None:
    fault.require_means(installation)
    before = installation.api.process.pid
    transfers = Transfers(installation, by_line=fault.by_line)
    await transfers.begin()
    fault.strike(installation)
    try:
        if fault.missing is not None:
            await installation.until_told(fault.missing)
        await transfers.end()
    finally:
        fault.mend(installation)
    transfers.require_honest()
    if fault.is_borne:
        assert all(upload.file_id for upload in transfers.uploads)
        assert all(download.outcome for download in transfers.downloads)
    else:
        assert not all(upload.file_id for upload in transfers.uploads), "the blow has landed"
    if fault.parts_from_clients:
        assert not any(upload.file_id for upload in transfers.uploads)
        assert not any(download.outcome for download in transfers.downloads)
    await installation.until_told(None)
    await transfers.require_kept()
    await transfers.repeat()
    await installation.sweep()
    installation.require_rows_and_blobs_agree(transfers.tenant.tenant_id)
    await transfers.require_kept()
    installation.require_nothing_unforeseen()
    process = psutil.Process(installation.api.process.pid)
    assert (process.pid == before) is not fault.ends_api, "it recovers by itself"
    assert process.num_fds() <= MOST_DESCRIPTORS
    assert process.num_threads() <= MOST_THREADS
    installation.forget(transfers.tenant.tenant_id)


async def test_a_commit_that_ends_after_its_connection_was_lost_keeps_its_content(
    over_s3: Installation,
) -> None:
    """The API cannot know whether its commit came through: it must not destroy the content before
    the server is done with it."""
    tenant, content = over_s3.new_tenant(), os.urandom(100_000)
    with psycopg.connect(over_s3.owner_dsn, autocommit=True) as owner:

        def waits_for(event: str) -> bool:
            found = owner.execute(
                "SELECT 1 FROM pg_stat_activity WHERE usename = 'muniment_app'"
                " AND wait_event_type = 'Lock' AND wait_event = %s",
                (event,),
            )
            return found.fetchone() is not None

        async with over_s3.client(tenant) as client:
            owner.execute(_SLOW_COMMIT)
            owner.execute("SELECT pg_advisory_lock(45)")
            sending = asyncio.create_task(client.post("/v1/files?name=late", content=content))
            try:
                await _until(lambda: waits_for("advisory"))
                over_s3.database_line.cut()
                over_s3.database_line.mend()
                await _until(lambda: sending.done() or waits_for("transactionid"))
            finally:
                owner.execute("SELECT pg_advisory_unlock(45)")
            answer = await sending
            owner.execute("DROP FUNCTION commit_slowly CASCADE")
            assert answer.status_code == 503, answer.text
            assert answer.json()["type"] == "urn:muniment:problem:database-unavailable"
            assert await _contents(client) == {"late": content}
    await over_s3.sweep()
    over_s3.require_rows_and_blobs_agree(tenant.tenant_id)


_SLOW_COMMIT = """
CREATE FUNCTION commit_slowly() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(45);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER commit_slowly AFTER INSERT ON file_version
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION commit_slowly();
"""
"""Has a commit wait for the test, as for a disk or a standby that is slow."""


async def test_a_full_database_refuses_with_a_remedy_and_goes_on_once_there_is_room(
    over_s3: Installation,
) -> None:
    if over_s3.database_disk is None:
        pytest.skip("NOT TRIED: a full disk needs a small file system, which only root may mount")
    tenant = over_s3.new_tenant()
    kept: dict[str, bytes] = {}
    async with over_s3.client(tenant) as client:
        over_s3.database_disk.fill()
        try:
            while (answer := await _upload_described(client, len(kept))).is_success:
                kept[answer.json()["name"]] = str(len(kept)).encode()
        finally:
            over_s3.database_disk.free()
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (507, "urn:muniment:problem:database-full")
        assert "PostgreSQL's disk" in problem["remedy"]
        assert int(answer.headers["Retry-After"]) > 0
        again = await _upload_described(client, len(kept))
        assert again.status_code == 202, again.text
        kept[again.json()["name"]] = str(len(kept)).encode()
        assert await _contents(client) == kept
    await over_s3.sweep()
    over_s3.require_rows_and_blobs_agree(tenant.tenant_id)
    over_s3.require_nothing_unforeseen()


async def test_a_full_database_refuses_what_it_could_not_audit_and_shows_what_is_there(
    over_s3: Installation,
) -> None:
    """A download that nobody could account for is not made. What writes nothing is answered."""
    if over_s3.database_disk is None:
        pytest.skip("NOT TRIED: a full disk needs a small file system, which only root may mount")
    tenant, served = over_s3.new_tenant(), 0
    async with over_s3.client(tenant) as client:
        kept = (await _upload_described(client, 0)).json()
        path = f"/v1/files/{kept['id']}"
        over_s3.database_disk.fill()
        try:
            number = 1
            while (await _upload_described(client, number)).is_success:
                number += 1
            while (answer := await client.get(f"{path}/content")).is_success:
                served += 1
                assert served < MOST_DESCRIBED, "the disk of the database does not fill"
            problem = answer.json()
            assert (answer.status_code, problem["type"]) == (
                507,
                "urn:muniment:problem:database-full",
            )
            assert "PostgreSQL's disk" in problem["remedy"]
            assert int(answer.headers["Retry-After"]) > 0
            archive = await client.post("/v1/files/archive", json={"files": [{"id": kept["id"]}]})
            assert archive.status_code == 507, archive.text
            for shown in (path, "/v1/files", f"{path}/versions", f"{path}/tier"):
                assert (await client.get(shown)).status_code == 200, shown
            assert (await client.head(f"{path}/content")).status_code == 200
            assert (await client.patch(path, json={"name": "b.txt"})).status_code == 507
        finally:
            over_s3.database_disk.free()
        assert (await client.get(f"{path}/content")).content == b"0"
        assert (await client.get(path)).json()["name"] == kept["name"]
    with psycopg.connect(over_s3.owner_dsn) as owner:
        audited = owner.execute(
            "SELECT count(*) FROM audit_event WHERE tenant_id = %s AND action = 'file.downloaded'",
            (tenant.tenant_id,),
        ).fetchone()
    assert audited == (served + 1,)
    await over_s3.sweep()
    over_s3.require_rows_and_blobs_agree(tenant.tenant_id)
    over_s3.require_nothing_unforeseen()


async def _upload_described(client: httpx.AsyncClient, number: int) -> httpx.Response:
    """One whose rows take room."""
    asked = {"name": f"{number}.txt", "metadata": json.dumps({"note": os.urandom(500).hex()})}
    if number > MOST_DESCRIBED:
        pytest.fail("the disk of the database does not fill")
    return await client.post(
        "/v1/files",
        params=asked,
        content=str(number).encode(),
        headers={"Idempotency-Key": str(number)},
    )


async def _contents(client: httpx.AsyncClient) -> dict[str, bytes]:
    """Of every file of the tenant, by its name."""
    listed = (await client.get("/v1/files", params={"limit": 100})).json()["data"]
    return {
        file["name"]: (await client.get(f"/v1/files/{file['id']}/content")).content
        for file in listed
    }


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(on_a_busy_machine(30)):
        while not is_so():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
