"""What was read of a file, as it was stored and published."""

from uuid import UUID

import httpx
import pytest
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel
from pydantic import ValidationError

from db.models import Blob, ChunkRow, FileVersion, PageLayer, PageRow, new_id, now
from db.queries import files, pages
from db.queries.stages import NewBlob
from db.queries.views import keep_view
from db.session import Access, Database
from muniment.contracts.documents import (
    HiddenKind,
    HiddenText,
    Line,
    Page,
    PageBatch,
    PageSource,
)
from muniment.contracts.render_view import (
    DPI_STEPS,
    MAXIMUM_DPI,
    MINIMUM_DPI,
    ImageFormat,
    PageImageView,
    dpi_step,
    view_fingerprint,
)
from muniment.contracts.word_boxes import pack_boxes
from muniment.objects import SealedBlob
from muniment.settings import load_settings
from muniment.stores import Stores, open_stores
from retrieval.cited_pages import PageReaders
from tests.api.conftest import ApiProcess
from tests.conftest import TenantFixture

_MEBIBYTE = 2**20


@pytest.fixture
def stores(api: ApiProcess, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The stores of the API process, opened a second time as a worker does."""
    monkeypatch.setenv("MUNIMENT_OBJECTS__ROOT", str(api.home / "objects"))
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(api.home / "keys"))
    return open_stores(load_settings())


def read_page(number: int, text: str) -> Page:
    return Page(
        page=number,
        label="i" * number,
        width=595,
        height=842,
        source=PageSource.OCR,
        engine="rapidocr",
        confidence=0.9,
        text=text,
        lines=(
            Line(
                text=text,
                bbox=(10, 20, 30, 40),
                confidence=0.9,
                word_boxes=pack_boxes([(10, 20, 30, 40)], (10, 20, 30, 40)),
            ),
        ),
        hidden=(HiddenText(kind=HiddenKind.TINY, text="unseen", bbox=(1, 2, 3, 4)),),
    )


@pytest.fixture
async def path(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, stores: Stores
) -> str:
    """A file whose first version was published with three pages, of which the last is unread."""
    answer = await client.post("/v1/files?name=a.pdf", content=b"scanned")
    file_id = UUID(answer.json()["id"])
    batch = PageBatch(pages=(read_page(1, "first"), read_page(2, "second")))
    document = DoclingDocument(name="a")
    document.add_heading("Title")
    document.add_text(label=DocItemLabel.PARAGRAPH, text="Some words.")
    put = stores.blobs.put_bytes
    batched = await put(tenant.tenant_id, batch.model_dump_json().encode())
    whole = await put(tenant.tenant_id, document.model_dump_json().encode())
    async with database.transaction(tenant.system) as session:
        version = await files.newest_version(session, file_id)
        session.add_all([_blob(tenant, batched), _blob(tenant, whole)])
        await session.flush()
        version.document_blob_id, version.published_at = whole.blob_id, now()
        session.add_all(_rows(tenant, file_id, version, batched.blob_id))
    return f"/v1/files/{file_id}"


def _blob(tenant: TenantFixture, sealed: SealedBlob) -> Blob:
    return Blob(
        id=sealed.blob_id,
        tenant_id=tenant.tenant_id,
        kind="artifact",
        size=sealed.size,
        sha256=sealed.sha256,
    )


def _rows(
    tenant: TenantFixture, file_id: UUID, version: FileVersion, blob_id: UUID
) -> list[PageRow | ChunkRow]:
    common = {"tenant_id": tenant.tenant_id, "version_id": version.id}
    shape = {"width": 595, "height": 842, "source": "ocr", "engine": "rapidocr"}
    read = [
        PageRow(
            **common, **shape, page=number, confidence=0.9, blob_id=blob_id, position=number - 1
        )
        for number in (1, 2)
    ]
    unread = PageRow(**common, **shape, page=3, problem="urn:muniment:problem:engine-crashed")
    chunk = ChunkRow(
        **common,
        id=new_id(),
        file_id=file_id,
        ordinal=0,
        text="first",
        text_hash=b"x",
        token_count=1,
        headings=["Title"],
        pages=[1],
        boxes=[{"page": 1, "bbox": [10, 20, 30, 40]}],
    )
    return [*read, unread, chunk]


async def test_pages_come_in_order_with_lines_and_boxes(
    client: httpx.AsyncClient, path: str
) -> None:
    first = (await client.get(f"{path}/pages", params={"limit": 2})).json()
    assert [(each["page"], each["label"]) for each in first["data"]] == [(1, "i"), (2, "ii")]
    page = first["data"][0]
    assert (page["unit"], page["source"], page["text"]) == ("pt", "ocr", "first")
    (line,) = page["lines"]
    assert line == {"text": "first", "bbox": [10, 20, 30, 40], "confidence": 0.9, "words": []}
    rest = (await client.get(f"{path}/pages", params={"cursor": first["next_cursor"]})).json()
    assert [(each["page"], each["label"], each["text"]) for each in rest["data"]] == [(3, None, "")]
    assert rest["data"][0]["problem"] == "urn:muniment:problem:engine-crashed"
    assert rest["next_cursor"] is None


async def test_one_page_or_404(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"{path}/pages/2")).json()["text"] == "second"
    assert (await client.get(f"{path}/pages/4")).status_code == 404
    assert (await client.get(f"{path}/pages/2", params={"version": 2})).status_code == 404


async def test_layers_of_a_page_are_told_and_an_old_one_is_given(
    client: httpx.AsyncClient, path: str, database: Database, tenant: TenantFixture, stores: Stores
) -> None:
    old = read_page(1, "as read before").model_copy(update={"engine": "old", "confidence": 0.5})
    sealed = await stores.blobs.put_bytes(
        tenant.tenant_id, PageBatch(pages=(old,)).model_dump_json().encode()
    )
    async with database.transaction(tenant.system) as session:
        version = await files.newest_version(session, UUID(path.rpartition("/")[2]))
        current = await pages.get_page(session, version.id, 1)
        assert current is not None
        session.add(_blob(tenant, sealed))
        await session.flush()
        for number, (engine, blob_id) in enumerate(
            [("old", sealed.blob_id), ("rapidocr", current.blob_id)]
        ):
            layer = {"tenant_id": tenant.tenant_id, "version_id": version.id, "page": 1}
            session.add(
                PageLayer(
                    **layer,
                    engine=engine,
                    engine_version=f"{engine}/1",
                    source="ocr",
                    blob_id=blob_id,
                    position=0,
                    is_current=number == 1,
                )
            )
            await session.flush()
    page = (await client.get(f"{path}/pages/1")).json()
    assert page["text"] == "first"
    assert [(each["engine"], each["is_current"]) for each in page["layers"]] == [
        ("rapidocr", True),
        ("old", False),
    ]
    for name in ("old", "old/1"):
        given = (await client.get(f"{path}/pages/1", params={"layer": name})).json()
        assert (given["text"], given["engine"], given["confidence"]) == (
            "as read before",
            "old",
            0.5,
        )
        assert given["layers"] == page["layers"]
    absent = await client.get(f"{path}/pages/1", params={"layer": "tesseract"})
    assert absent.status_code == 404
    assert "layers" in absent.json()["remedy"]


async def test_one_page_says_where_its_words_stand_and_what_nobody_sees(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(f"{path}/pages/2")).json()
    assert page["lines"][0]["words"] == [{"text": "second", "bbox": [10, 20, 30, 40]}]
    assert page["hidden"] == [{"kind": "tiny", "text": "unseen", "bbox": [1, 2, 3, 4]}]


async def test_document_and_text_are_given_once_per_etag(
    client: httpx.AsyncClient, path: str
) -> None:
    document = await client.get(f"{path}/document")
    assert document.headers["Content-Type"] == "application/json"
    assert document.json()["schema_name"] == "DoclingDocument"
    text = await client.get(f"{path}/text")
    assert text.text == "first\n\nsecond\n\n\n"
    for answer in (document, text):
        assert answer.headers["Cache-Control"].startswith("private")
        tag = answer.headers["ETag"]
        known = await client.get(str(answer.url), headers={"If-None-Match": f'"other", W/{tag}'})
        assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", tag)
        other = await client.get(str(answer.url), headers={"If-None-Match": '"other"'})
        assert (other.status_code, other.headers["ETag"]) == (200, tag)
    part = await client.get(f"{path}/document", headers={"Range": "bytes=0-0"})
    assert (part.status_code, part.text) == (206, "{")


async def with_long_text(
    database: Database, tenant: TenantFixture, stores: Stores, file_id: UUID, pages_kept: int
) -> None:
    """Further pages of a mebibyte each."""
    mebibyte = read_page(1, "ab cd ef " * (1024 * 1024 // 9))
    shape = {"width": 595, "height": 842, "source": "ocr", "engine": "rapidocr"}
    for number in range(4, 4 + pages_kept):
        content = PageBatch(pages=(mebibyte,)).model_dump_json().encode()
        blob = await stores.blobs.put_bytes(tenant.tenant_id, content)
        async with database.transaction(tenant.system) as session:
            version = await files.newest_version(session, file_id)
            session.add(_blob(tenant, blob))
            await session.flush()
            session.add(
                PageRow(
                    **shape,
                    tenant_id=tenant.tenant_id,
                    version_id=version.id,
                    page=number,
                    confidence=0.9,
                    blob_id=blob.blob_id,
                    position=0,
                )
            )


async def test_a_long_text_takes_the_memory_of_a_page(
    client: httpx.AsyncClient,
    path: str,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
    api: ApiProcess,
) -> None:
    await with_long_text(database, tenant, stores, UUID(path.rpartition("/")[2]), 50)
    await client.get(f"{path}/pages/4")  # what one page takes is there already
    before = api.resident_bytes
    most, size = before, 0
    async with client.stream("GET", f"{path}/text") as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_raw(1024 * 1024):
            size += len(piece)
            most = max(most, api.resident_bytes)
    assert size > 49 * 1024 * 1024
    assert most - before < 40 * 1024 * 1024


async def test_a_text_that_is_trashed_while_it_is_sent_is_cut(
    client: httpx.AsyncClient,
    path: str,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
) -> None:
    """More than a hundred pages, after which it is asked again, and more than lies in buffers between."""
    await with_long_text(database, tenant, stores, UUID(path.rpartition("/")[2]), 110)
    sent: list[int] = []

    async def read() -> None:
        async with client.stream("GET", f"{path}/text") as answer:
            async for piece in answer.aiter_raw(1024 * 1024):
                if not sent:
                    assert (await client.delete(path)).status_code == 200
                sent.append(len(piece))

    with pytest.raises(httpx.RemoteProtocolError):
        await read()
    assert 0 < sum(sent) < 100 * 1024 * 1024


async def test_a_view_that_no_worker_makes_in_time_is_to_be_asked_for_again(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(f"{path}/markdown")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["type"] == "urn:muniment:problem:orchestrator-unavailable"


async def test_pictures_are_of_pages_that_are_there_and_within_bounds(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    path: str,
    database: Database,
    tenant: TenantFixture,
) -> None:
    image = f"{path}/pages/1/image"
    for media_type, status in (("text/plain", 404), ("application/pdf", 503)):
        async with database.transaction(tenant.system) as session:
            version = await files.newest_version(session, UUID(path.rpartition("/")[2]))
            version.media_type = media_type
        assert (await client.get(image)).status_code == status
    assert (await client.get(f"{path}/pages/4/image")).status_code == 404
    assert (await client.get(image, params={"version": 2})).status_code == 404
    for wrong in ({"dpi": 301}, {"dpi": 35}, {"format": "bmp"}):
        assert (await client.get(image, params=wrong)).status_code == 422, wrong
    assert (await stranger.get(image)).status_code == 404
    assert (await stranger.get(f"{path}/thumbnail")).status_code == 404
    await client.delete(path)
    assert (await client.get(image)).status_code == 409


async def test_resolutions_between_two_steps_are_one_picture(
    client: httpx.AsyncClient,
    path: str,
    database: Database,
    tenant: TenantFixture,
    stores: Stores,
) -> None:
    sealed = await stores.blobs.put_bytes(tenant.tenant_id, b"a picture")
    blob = NewBlob(sealed.blob_id, sealed.size, sealed.sha256)
    async with database.transaction(tenant.system) as session:
        version = await files.newest_version(session, UUID(path.rpartition("/")[2]))
        version.media_type = "application/pdf"
        view = PageImageView(page=1, dpi=200, format=ImageFormat.WEBP)
        key = view_fingerprint(view, version.blob_id)
        assert await keep_view(session, tenant.tenant_id, version.id, key, blob)
    for dpi in (151, 175, 200):
        answer = await client.get(f"{path}/pages/1/image", params={"dpi": dpi})
        assert (answer.status_code, answer.content) == (200, b"a picture")


def test_every_resolution_is_answered_by_one_of_a_few_pictures_that_shows_as_much() -> None:
    asked = range(MINIMUM_DPI, MAXIMUM_DPI + 1)
    drawn = {dpi: PageImageView(page=1, dpi=dpi, format=ImageFormat.PNG) for dpi in asked}
    assert all(view.dpi >= dpi for dpi, view in drawn.items())
    assert len({view.dpi for view in drawn.values()}) == len(DPI_STEPS) <= 12
    assert all(dpi_step(step) == step for step in DPI_STEPS)
    for dpi in (MINIMUM_DPI - 1, MAXIMUM_DPI + 1):
        with pytest.raises(ValidationError):
            PageImageView(page=1, dpi=dpi, format=ImageFormat.PNG)


async def test_chunks_have_pages_and_boxes(client: httpx.AsyncClient, path: str) -> None:
    chunks = (await client.get(f"{path}/chunks")).json()
    assert chunks["next_cursor"] is None
    assert chunks["data"][0]["boxes"] == [{"page": 1, "bbox": [10, 20, 30, 40]}]
    assert chunks["data"][0]["headings"] == ["Title"]


async def test_only_pages_that_failed_can_be_named_in_a_retry(
    client: httpx.AsyncClient, path: str, database: Database, tenant: TenantFixture
) -> None:
    job_id = (await client.get(path)).json()["job"]["id"]
    async with database.transaction(tenant.system) as session:
        detail = await files.get_file(session, UUID(path.rpartition("/")[2]))
        assert detail is not None
        assert detail.job is not None
        detail.job.state, detail.job.degraded, detail.job.finished_at = "completed", True, now()
    wrong = await client.post(f"/v1/jobs/{job_id}/retry", json={"pages": [1, 3]})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "pages"
    right = await client.post(f"/v1/jobs/{job_id}/retry", json={"pages": [3]})
    assert right.status_code == 202


async def test_a_file_that_is_erased_while_it_is_cited_leaves_its_quotes_unproven(
    path: str, client: httpx.AsyncClient, database: Database, tenant: TenantFixture, stores: Stores
) -> None:
    file_id = UUID((await client.get(path)).json()["id"])
    access = Access(tenant.tenant_id, tenant.principal_id)
    readers = PageReaders(database, stores.blobs, access)
    assert await readers.text(file_id, 1, 1) == "first"
    async with database.transaction(tenant.system) as session:
        row = await pages.get_page(session, (await files.newest_version(session, file_id)).id, 1)
    assert row is not None
    assert row.blob_id is not None
    await stores.blobs.destroy(tenant.tenant_id, row.blob_id)
    assert await readers.text(file_id, 1, 1) is None
    assert await readers.lines(file_id, 1, 1) == ()
    assert await readers.text(new_id(), 1, 1) is None
