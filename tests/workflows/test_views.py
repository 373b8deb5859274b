"""Views of real documents: drawn once, right side up, and gone with their file."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import text
from temporalio import activity

from activities.heartbeats import heartbeats
from activities.views.activity import RenderView
from api.orchestrator import Orchestrator
from api.pages.views import Views
from api.slots import Slots
from db.models import FileVersion, Job
from db.queries.job_passwords import keep_password
from db.queries.views import StoredView
from db.session import Access
from muniment.contracts.render_view import (
    THUMBNAIL_PIXELS,
    ImageFormat,
    MarkdownView,
    PageImageView,
    RenderPicturesInput,
    RenderPicturesResult,
    RenderViewInput,
    RenderViewResult,
    pictures_of_encrypted,
)
from muniment.errors import (
    DamagedDocument,
    EncryptedDocument,
    Gone,
    KeyDestroyed,
    NotFound,
    OrchestratorUnavailable,
    TooManyRequests,
)
from tests.conftest import REPOSITORY
from tests.workflows.documents import page_text, text_pdf
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.workshop import TenantIds, Workshop
from worker.spent_passwords import SpentPasswords

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
ENCRYPTED = REPOSITORY / "tests" / "samples" / "pdf" / "encrypted.pdf"


def page_image(page: int = 1, dpi: int = 72, image_format: str = "png") -> PageImageView:
    return PageImageView(page=page, dpi=dpi, format=ImageFormat(image_format))


async def give_password(workshop: Workshop, job: Job) -> None:
    """What opens ENCRYPTED, as an upload brings it along."""
    sealed = await workshop.stores.blobs.put_bytes(job.tenant_id, b"openpassword")
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        await keep_password(session, job, sealed)


def views_of(workshop: Workshop, seconds: float = 120, slots: int = 64) -> Views:
    temporal = Orchestrator(workshop.client, view_timeout_seconds=seconds)
    return Views(workshop.database, temporal, Slots(slots, "views"))


async def version_of(workshop: Workshop, job: Job) -> FileVersion:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        version = await session.get(FileVersion, job.version_id)
    assert version is not None
    return version


async def ingested(
    workshop: Workshop, owner: TenantIds, content: bytes, name: str, media_type: str
) -> Job:
    job = await workshop.upload(owner, content, name, media_type)
    await (await workshop.start(job)).result()
    return job


async def picture(workshop: Workshop, job: Job, view: PageImageView) -> Image.Image:
    access = Access(job.tenant_id)
    stored = await views_of(workshop).get(access, await version_of(workshop, job), view)
    content = await workshop.stores.blobs.read_all(job.tenant_id, stored.blob_id)
    assert len(content) == stored.size
    return Image.open(io.BytesIO(content))


def counted(workshop: Workshop) -> tuple[list[UUID], Callable[..., Awaitable[RenderViewResult]]]:
    """The real activity, and the versions for which it came to run."""
    parts, runs = workshop.parts, list[UUID]()
    real = RenderView(workshop.database, parts.artifacts, parts.sandbox, parts.scratch)

    @activity.defn(name="render_view")
    async def counting(request: RenderViewInput) -> RenderViewResult:
        runs.append(request.version_id)
        return await real.render_view(request)

    return runs, counting


async def test_many_who_ask_at_once_get_one_drawing_and_later_ones_the_stored(
    workshop: Workshop, owner: TenantIds
) -> None:
    runs, counting = counted(workshop)
    content = text_pdf([page_text(1), page_text(2)])
    async with workshop.working(replacing=[counting]):
        job = await ingested(workshop, owner, content, "a.pdf", PDF)
        version, views = await version_of(workshop, job), views_of(workshop)
        access = Access(job.tenant_id)
        first = await asyncio.gather(
            *(views.get(access, version, page_image(2)) for _ in range(12))
        )
        later = await views.get(access, version, page_image(2))
        copy = await ingested(workshop, owner, content, "b.pdf", PDF)
        of_copy = await views.get(access, await version_of(workshop, copy), page_image(2))
    assert len({view.blob_id for view in [*first, later, of_copy]}) == 1
    assert runs.count(version.id) == 1
    assert views.slots.taken == 0


async def test_pages_are_drawn_in_their_frame_at_the_resolution_that_is_asked_for(
    workshop: Workshop, owner: TenantIds
) -> None:
    # The crop box is 200 × 100 points of a larger page, shown turned by a quarter.
    content = text_pdf([page_text(1)]).replace(
        b"/MediaBox[0 0 595 842]", b"/MediaBox[0 0 595 842]/CropBox[72 700 272 800]/Rotate 90"
    )
    async with workshop.working():
        job = await ingested(workshop, owner, content, "turned.pdf", PDF)
        assert (await picture(workshop, job, page_image())).size == (100, 200)
        large = await picture(workshop, job, page_image(dpi=144, image_format="webp"))
        assert (large.size, large.format) == ((200, 400), "WEBP")
        darkest, lightest = large.convert("L").getextrema()
        assert darkest < 100
        assert lightest > 240
        small = PageImageView(page=1, dpi=72, format=ImageFormat.PNG, longest_side=64)
        assert (await picture(workshop, job, small)).size == (32, 64)


async def test_images_are_upright_never_enlarged_and_page_by_page(
    workshop: Workshop, owner: TenantIds
) -> None:
    tiff, jpeg = io.BytesIO(), io.BytesIO()
    frames = [Image.new("RGB", (300, 200), colour) for colour in ("white", "navy")]
    frames[0].save(tiff, "TIFF", save_all=True, append_images=frames[1:], dpi=(100, 100))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (80, 40), "white").save(jpeg, "JPEG", exif=exif)
    async with workshop.working():
        scan = await ingested(workshop, owner, tiff.getvalue(), "scan.tiff", "image/tiff")
        second = await picture(workshop, scan, page_image(2, dpi=50))
        assert second.size == (150, 100)
        assert second.getpixel((75, 50)) == (0, 0, 128)
        assert (await picture(workshop, scan, page_image(dpi=300))).size == (300, 200)
        photo = await ingested(workshop, owner, jpeg.getvalue(), "photo.jpg", "image/jpeg")
        assert (await picture(workshop, photo, page_image())).size == (40, 80)


async def test_markdown_is_made_of_the_document_and_other_formats_have_no_pictures(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, b"# Title\n\nSome words.\n", "a.md", "text/markdown")
        version, views = await version_of(workshop, job), views_of(workshop)
        access = Access(job.tenant_id)
        stored = await views.get(access, version, MarkdownView())
        content = await workshop.stores.blobs.read_all(job.tenant_id, stored.blob_id)
        assert content.decode() == "# Title\n\nSome words.\n"
        with pytest.raises(NotFound):
            await views.get(access, version, page_image())


async def test_an_encrypted_pdf_has_the_pictures_that_were_drawn_while_its_password_was_there(
    workshop: Workshop, owner: TenantIds
) -> None:
    runs, counting = counted(workshop)
    job = await workshop.upload(owner, ENCRYPTED.read_bytes(), "locked.pdf", PDF)
    await give_password(workshop, job)
    access = Access(job.tenant_id)
    async with workshop.working(replacing=[counting]):
        await (await workshop.start(job)).result()
        version, views = await version_of(workshop, job), views_of(workshop)
        await SpentPasswords(workshop.database, workshop.stores.blobs).round()
        for view in pictures_of_encrypted(version.page_count or 0):
            drawn = await views.get(access, version, view)
            content = await workshop.stores.blobs.read_all(job.tenant_id, drawn.blob_id)
            longest = max(Image.open(io.BytesIO(content)).size)
            assert longest == THUMBNAIL_PIXELS if view.longest_side else longest > 1000
        assert not runs
        for view in (page_image(), page_image(), page_image(dpi=150)):
            with pytest.raises(EncryptedDocument, match="password was destroyed"):
                await views.get(access, version, view)
        assert (await views.get(access, version, MarkdownView())).size > 0
    assert runs.count(version.id) == 2, "one more picture, and the Markdown"


async def test_a_document_is_announced_before_its_pictures_and_an_erasure_ends_their_drawing(
    workshop: Workshop, owner: TenantIds
) -> None:
    began = asyncio.Event()

    @activity.defn(name="render_pictures")
    async def never_done(request: RenderPicturesInput) -> RenderPicturesResult:
        async with heartbeats():
            began.set()
            await asyncio.sleep(600)
        return RenderPicturesResult(drawn=0)

    job = await workshop.upload(owner, ENCRYPTED.read_bytes(), "locked.pdf", PDF)
    await give_password(workshop, job)
    async with workshop.working(replacing=[never_done]), asyncio.timeout(180):
        handle = await workshop.start(job)
        await began.wait()
        stages = {stage["name"]: stage["state"] for stage in (await workshop.job(job)).stages}
        assert stages["announce"] == "completed"
        erasure = await order_erasure(workshop, job)
        await handle.result()
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()
    assert (await workshop.file(job)).state == "erased"


async def test_a_page_that_is_not_there_says_so_and_is_not_stored(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, text_pdf([page_text(1)]), "a.pdf", PDF)
        version, views = await version_of(workshop, job), views_of(workshop)
        for _ in range(2):
            with pytest.raises(DamagedDocument):
                await views.get(Access(job.tenant_id), version, page_image(9))
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        kept = await session.execute(
            text("SELECT count(*) FROM blob_reference WHERE version_id = :id AND role = 'view'"),
            {"id": version.id},
        )
        assert kept.scalar_one() == 0


async def test_without_a_worker_the_wait_ends_and_the_view_comes_with_one(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, text_pdf([page_text(1)]), "a.pdf", PDF)
    version, access = await version_of(workshop, job), Access(job.tenant_id)
    views = views_of(workshop, seconds=5, slots=1)
    waiting = asyncio.create_task(views.get(access, version, page_image()))
    while not views.slots.taken:  # noqa: ASYNC110 - another task's number
        await asyncio.sleep(0.01)
    with pytest.raises(TooManyRequests):
        await views.get(access, version, page_image())
    with pytest.raises(OrchestratorUnavailable):
        await waiting
    async with workshop.working():
        found = await views_of(workshop).get(access, version, page_image())
    assert found.size > 0


async def test_an_erasure_takes_the_views_along_and_none_is_made_after_it(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        job = await ingested(workshop, owner, text_pdf([page_text(7)]), "a.pdf", PDF)
        version, views = await version_of(workshop, job), views_of(workshop)
        access = Access(job.tenant_id)
        stored: StoredView = await views.get(access, version, page_image())
        erasure = await order_erasure(workshop, job)
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()
        with pytest.raises(KeyDestroyed):
            await workshop.stores.blobs.read_all(job.tenant_id, stored.blob_id)
        with pytest.raises(Gone):
            await views.get(access, version, page_image())
