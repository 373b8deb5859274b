"""Copies of a version that say who shared it: made once for each sharer, and gone with the file."""

import io

import pypdfium2
import pytest
from PIL import Image
from sqlalchemy import text

from db.models import FileVersion
from db.session import Access
from muniment.contracts.render_view import MarkedCopyView, marked_copy
from muniment.errors import EncryptedDocument, Gone, KeyDestroyed, NotFound
from tests.workflows.documents import page_text, text_pdf
from tests.workflows.test_erase_file import order_erasure
from tests.workflows.test_views import (
    ENCRYPTED,
    PDF,
    counted,
    give_password,
    ingested,
    version_of,
    views_of,
)
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def named(workshop: Workshop, owner: TenantIds, name: str) -> MarkedCopyView:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE principal SET name = :name WHERE id = :id"),
            {"name": name, "id": owner.principal_id},
        )
    return marked_copy(owner.principal_id, name)


async def text_of_copy(workshop: Workshop, version: FileVersion, view: MarkedCopyView) -> str:
    access = Access(version.tenant_id)
    stored = await views_of(workshop).get(access, version, view)
    content = await workshop.stores.blobs.read_all(version.tenant_id, stored.blob_id)
    with pypdfium2.PdfDocument(content) as document:
        return " ".join(page.get_textpage().get_text_bounded() for page in document)


async def test_a_copy_is_made_once_and_again_for_another_name_and_dies_with_the_file(
    workshop: Workshop, owner: TenantIds
) -> None:
    runs, counting = counted(workshop)
    async with workshop.working(replacing=[counting]):
        job = await ingested(workshop, owner, text_pdf([page_text(1)]), "a.pdf", PDF)
        version = await version_of(workshop, job)
        ada = await named(workshop, owner, "Ada Lovelace")
        for _ in range(2):
            said = await text_of_copy(workshop, version, ada)
            assert f"Shared by Ada Lovelace · {owner.principal_id}" in said
        assert len(runs) == 1
        assert "Ada King" in await text_of_copy(
            workshop, version, await named(workshop, owner, "Ada King")
        )
        kept = await views_of(workshop).get(Access(job.tenant_id), version, ada)
        erasure = await order_erasure(workshop, job)
        await workshop.client.get_workflow_handle(erasure.workflow_id).result()
        with pytest.raises(KeyDestroyed):
            await workshop.stores.blobs.read_all(job.tenant_id, kept.blob_id)
        with pytest.raises(Gone):
            await text_of_copy(workshop, version, ada)


async def test_what_cannot_be_marked_says_so(workshop: Workshop, owner: TenantIds) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (200, 100), "white").save(picture, "PNG")
    async with workshop.working():
        view = await named(workshop, owner, "Ada Lovelace")
        image = await ingested(workshop, owner, picture.getvalue(), "a.png", "image/png")
        with pytest.raises(NotFound):
            await text_of_copy(workshop, await version_of(workshop, image), view)
        locked = await workshop.upload(owner, ENCRYPTED.read_bytes(), "locked.pdf", PDF)
        await give_password(workshop, locked)
        await (await workshop.start(locked)).result()
        with pytest.raises(EncryptedDocument):
            await text_of_copy(workshop, await version_of(workshop, locked), view)
