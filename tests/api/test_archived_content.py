"""Content in an archive is answered with a problem that says when to ask again, and its state is shown."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from api.authentication import Caller
from api.files import archive
from api.files import content as contents
from api.files.retrieval import RetrievalQuestions, retrieval_of_file
from db.models import File, FileVersion, new_id
from db.queries.files import FileDetail
from muniment.contracts.move_tier import Tier
from muniment.errors import ObjectStoreUnavailable
from muniment.objects import (
    BlobStore,
    FilesystemObjectStore,
    Retrieval,
    S3ObjectStore,
    S3Placement,
    StorageClass,
    StoredObject,
    connect_s3,
)
from muniment.sealing import PRODUCTION, KeyFile
from muniment.stores import S3_PREFIX
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.api.sharing import scanned
from tests.api.test_tiers import CONTENT, upload
from tests.conformance.archiving_server import ArchivingServer, serving_archive
from tests.conformance.object_store import in_chunks
from tests.conformance.s3_server import S3Bucket
from tests.conftest import REPOSITORY, TenantFixture


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ArchivingServer]:
    with serving_archive(tmp_path) as server:
        yield server


@pytest.fixture
async def bucket(server: ArchivingServer) -> S3Bucket:
    return server.new_bucket()


@pytest.fixture
async def archiving(
    api_environment: dict[str, str], tmp_path: Path, bucket: S3Bucket
) -> AsyncIterator[ApiProcess]:
    """An API whose cold store is an archive."""
    environment = {
        **api_environment,
        **bucket.environment("COLD_STORE"),
        "MUNIMENT_COLD_STORE__STORAGE_CLASS": "GLACIER",
    }
    api = start_api(tmp_path / "home", environment, has_cold_store=False)
    yield api
    assert await asyncio.to_thread(stop_api, api) == 0


async def freeze(
    api: ApiProcess, bucket: S3Bucket, tenant: TenantFixture, postgres_dsn: str
) -> None:
    """Moves the tenant's objects into the archive, as movers leave them."""
    server = bucket.server
    client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
    placement = S3Placement(StorageClass.GLACIER)
    store = S3ObjectStore(client, bucket.name, S3_PREFIX, placement=placement)
    hot = [path for path in (api.objects / str(tenant.tenant_id)).rglob("*") if path.is_file()]
    keys = [str(path.relative_to(api.objects)) for path in hot]
    for key, path in zip(keys, hot, strict=True):
        await store.put(key, in_chunks(path.read_bytes()))
        path.unlink()
    for key in keys:
        await store.archive(key)
    await store.close()
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE blob SET tier = 'cold' WHERE tenant_id = %s", (tenant.tenant_id,)
        )


def refused(answer: httpx.Response) -> bool:
    problem = answer.json()
    return (
        answer.status_code == 409
        and problem["type"] == "urn:muniment:problem:content-in-retrieval"
        and int(answer.headers["Retry-After"]) > 60
    )


async def test_who_asks_for_it_begins_its_retrieval_and_has_it_later(
    archiving: ApiProcess,
    server: ArchivingServer,
    bucket: S3Bucket,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    async with client_of(archiving, tenant.api_key) as client:
        first = await upload(client)
        answer = await client.post("/v1/files?name=b.bin", content=CONTENT + b"b")
        second = answer.json()["id"]
        await freeze(archiving, bucket, tenant, postgres_dsn)

        async def retrieval(file_id: str) -> dict[str, int]:
            shown = (await client.get(f"/v1/files/{file_id}/tier")).json()["retrieval"]
            return {state: count for state, count in shown.items() if count}

        assert await retrieval(first) == {"archived": 1}
        wanted = {"files": [{"id": first}, {"id": second}]}
        assert refused(await client.post("/v1/files/archive", json=wanted))
        assert await retrieval(first) == await retrieval(second) == {"in_progress": 1}
        assert refused(await client.get(f"/v1/files/{first}/content"))
        head = await client.head(f"/v1/files/{first}/content")
        assert head.status_code == 409
        server.retrieve_within(0)
        assert await retrieval(first) == {"retrieved": 1}
        assert (await client.get(f"/v1/files/{first}/content")).content == CONTENT
        whole = await client.post("/v1/files/archive", json=wanted)
        assert whole.status_code == 200


async def test_asking_about_it_retrieves_nothing_and_says_how_far_it_is(
    archiving: ApiProcess,
    server: ArchivingServer,
    bucket: S3Bucket,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    async with client_of(archiving, tenant.api_key) as client:
        file_id = await upload(client)
        path, content = f"/v1/files/{file_id}", f"/v1/files/{file_id}/content"
        scanned(postgres_dsn, file_id, "clean")
        share = (await client.post("/v1/shares", json={"file_id": file_id})).json()
        shared = f"/s/{share['url'].rpartition('/')[2]}/content"

        async def shown() -> tuple[str, str | None]:
            file = (await client.get(path)).json()
            return file["tier"], file["retrieval"]

        assert await shown() == ("hot", None)
        await freeze(archiving, bucket, tenant, postgres_dsn)
        for asked in (content, shared, content):
            head = await client.head(asked)
            assert head.status_code == 409, (asked, head.headers)
        assert head.headers["Muniment-Retrieval"] == "archived"
        assert int(head.headers["Retry-After"]) > 60
        assert await shown() == ("cold", "archived"), "it was not asked for"
        listed = (await client.get("/v1/files")).json()["data"]
        assert [(file["tier"], file["retrieval"]) for file in listed] == [("cold", None)]
        assert refused(await client.get(content))
        assert await shown() == ("cold", "in_progress")
        head = await client.head(content)
        assert (head.status_code, head.headers["Muniment-Retrieval"]) == (409, "in_progress")
        server.retrieve_within(0)
        assert await shown() == ("cold", "retrieved")
        head = await client.head(content)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(CONTENT)))


async def test_what_is_refused_for_a_retrieval_was_not_downloaded(
    archiving: ApiProcess,
    server: ArchivingServer,
    bucket: S3Bucket,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    def downloads() -> int:
        return audit_actions(postgres_dsn, tenant.tenant_id).count("file.downloaded")

    async with client_of(archiving, tenant.api_key) as client:
        cold = await upload(client)
        await freeze(archiving, bucket, tenant, postgres_dsn)
        hot = (await client.post("/v1/files?name=hot.bin", content=b"hot")).json()["id"]
        wanted = {"files": [{"id": cold}, {"id": hot}]}
        assert refused(await client.get(f"/v1/files/{cold}/content"))
        assert (await client.get(f"/v1/files/{cold}")).json()["retrieval"] == "in_progress"
        assert refused(await client.post("/v1/files/archive", json=wanted))
        assert downloads() == 0, "nothing left"
        server.retrieve_within(0)
        assert (await client.post("/v1/files/archive", json=wanted)).status_code == 200
        assert downloads() == 2
        assert (await client.get(f"/v1/files/{cold}/content")).content == CONTENT
        assert downloads() == 3
        assert (await client.post("/v1/files/archive", json={"files": [{"id": hot}]})).is_success
        assert downloads() == 4


class Slow(FilesystemObjectStore):
    """Answers every question after a while."""

    asked_at_once = most_at_once = 0

    async def stat(self, key: str) -> StoredObject:
        self.asked_at_once += 1
        self.most_at_once = max(self.most_at_once, self.asked_at_once)
        await asyncio.sleep(0.3)
        self.asked_at_once -= 1
        return await super().stat(key)


async def test_many_files_are_asked_for_side_by_side_and_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyFile(tmp_path / "keys" / "tenants.json")
    store, wrapped = Slow(tmp_path / "objects"), FilesystemObjectStore(tmp_path / "wrapped")
    blobs = BlobStore(store, keys, wrapped)
    tenant_id = uuid4()
    caller = Caller(tenant_id, uuid4(), None, frozenset(), is_admin=False)
    made = [(await blobs.put_bytes(tenant_id, b"content")).blob_id for _ in range(32)]
    await archive._require_readable(blobs, caller, made)
    assert store.most_at_once == archive._ASKED_AT_ONCE
    monkeypatch.setattr(archive, "_ASKED_SECONDS", 0.1)
    with pytest.raises(ObjectStoreUnavailable):
        await archive._require_readable(blobs, caller, made)


async def test_no_more_than_so_many_ask_at_a_time_how_it_is_with_a_file(tmp_path: Path) -> None:
    store, wrapped = Slow(tmp_path / "objects"), FilesystemObjectStore(tmp_path / "wrapped")
    blobs = BlobStore(store, KeyFile(tmp_path / "keys" / "tenants.json"), wrapped)
    tenant_id = uuid4()
    sealed = await blobs.put_bytes(tenant_id, b"content")
    file = File(id=new_id(), tenant_id=tenant_id, name="a", state="ready", media_type="text/plain")
    version = FileVersion(
        tenant_id=tenant_id,
        file_id=file.id,
        number=1,
        blob_id=sealed.blob_id,
        name=file.name,
        size=sealed.size,
        sha256=sealed.sha256,
        declared_media_type=file.media_type,
    )
    detail = FileDetail(file, None, version, Tier.COLD, None)
    questions = RetrievalQuestions(requests=2)
    asked = [retrieval_of_file(blobs, questions, detail) for _ in range(3)]
    assert await asyncio.gather(*asked) == [Retrieval.READABLE, Retrieval.READABLE, None]
    assert await retrieval_of_file(blobs, questions, detail) is Retrieval.READABLE


class Watched(Slow):
    """Knows how many are asking, and how many were at a time."""

    asking = most = 0

    async def stat(self, key: str) -> StoredObject:
        self.asking += 1
        self.most = max(self.most, self.asking)
        try:
            return await super().stat(key)
        finally:
            self.asking -= 1


async def test_requests_about_many_files_take_turns_for_a_bounded_time(tmp_path: Path) -> None:
    store, wrapped = Watched(tmp_path / "objects"), FilesystemObjectStore(tmp_path / "wrapped")
    blobs = BlobStore(store, KeyFile(tmp_path / "keys" / "tenants.json"), wrapped)
    tenant_id = uuid4()
    made = [(await blobs.put_bytes(tenant_id, b"content")).blob_id for _ in range(6)]
    questions = RetrievalQuestions(requests=2, at_once=4)
    missing = uuid4()
    asked = [questions.ask(blobs, tenant_id, [*made, missing], 30) for _ in range(3)]
    known = [*[Retrieval.READABLE] * len(made), None]
    assert await asyncio.gather(*asked) == [known, known, None]
    assert store.most == 4
    late = [questions.ask(blobs, tenant_id, made, 0.1) for _ in range(2)]
    assert await asyncio.gather(*late) == [None, None]
    await until_none_asks(store)
    assert await questions.ask(blobs, tenant_id, made[:1], 30) == [Retrieval.READABLE]


async def until_none_asks(store: Watched) -> None:
    for _ in range(1000):
        await asyncio.sleep(0.02)  # the place is given back behind it
        if not store.asking:
            return
    raise AssertionError("the questions do not end")


class Silent(Watched):
    """As one of S3, whose requests end by themselves alone, whoever waits for them."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.speaks = asyncio.Event()

    async def stat(self, key: str) -> StoredObject:
        self.asking += 1
        request = asyncio.ensure_future(asyncio.wait_for(self.speaks.wait(), 10))
        try:
            await asyncio.shield(request)
        except asyncio.CancelledError:
            await asyncio.wait([request])
            raise
        finally:
            self.asking -= 1
        return await super().stat(key)


async def test_nobody_waits_longer_for_a_store_that_says_nothing(tmp_path: Path) -> None:
    store, wrapped = Silent(tmp_path / "objects"), FilesystemObjectStore(tmp_path / "wrapped")
    blobs = BlobStore(store, KeyFile(tmp_path / "keys" / "tenants.json"), wrapped)
    tenant_id = uuid4()
    made = [(await blobs.put_bytes(tenant_id, b"content")).blob_id for _ in range(3)]
    questions = RetrievalQuestions(requests=1, at_once=2)
    async with asyncio.timeout(20):
        assert await questions.ask(blobs, tenant_id, made, 0.1) is None
        assert store.asking == 2, "the third is not asked any more"
        assert await questions.ask(blobs, tenant_id, made, 30) is None, "its place is held"
        store.speaks.set()
        await until_none_asks(store)
        assert await questions.ask(blobs, tenant_id, made, 30) == [Retrieval.READABLE] * 3


class Counted(FilesystemObjectStore):
    """Counts the bytes that are read of it, as a store does that charges for them."""

    read_bytes = 0

    async def read(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(super().read(key, offset, length)) as chunks:
            async for chunk in chunks:
                self.read_bytes += len(chunk)
                yield chunk


@pytest.mark.parametrize("size", [0, 1, 3 * 2**20])
async def test_who_asks_about_content_has_little_of_it_read(tmp_path: Path, size: int) -> None:
    store, wrapped = Counted(tmp_path / "objects"), FilesystemObjectStore(tmp_path / "wrapped")
    blobs = BlobStore(store, KeyFile(tmp_path / "keys" / "tenants.json"), wrapped)
    tenant_id = uuid4()
    stored = await blobs.put_bytes(tenant_id, bytes(size))
    sealed = contents.Sealed(tenant_id, stored.blob_id, size, stored.sha256, "a", "text/plain")
    answer = await contents._head(blobs, sealed)
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(size))
    assert 0 < store.read_bytes <= PRODUCTION.segment_bytes


def test_the_header_that_says_how_far_it_is_is_described() -> None:
    described = json.loads((REPOSITORY / "docs" / "openapi.json").read_text(encoding="utf-8"))
    for path in ("/v1/files/{file_id}/content", "/s/{token}/content"):
        assert "409" in described["paths"][path]["get"]["responses"]
        refused_head = described["paths"][path]["head"]["responses"]["409"]
        assert "Muniment-Retrieval" in refused_head["headers"], path
