"""Redacted copies of real documents: what was found is gone from text, bytes and pixels."""

import re
import zlib
from types import SimpleNamespace
from typing import cast

import pypdfium2
import pytest
from sqlalchemy import text

from api.authentication import Caller
from api.files.scan_policy import ScanPolicy
from api.redactions.schemas import NewRedaction, Region
from api.redactions.service import redact
from api.services import Services
from db.models import Job, new_id
from db.session import Access
from muniment.errors import NotFound, Unprocessable
from retrieval.cited_pages import PageReaders
from tests.workflows.documents import page_text, scanned_pdf, text_pdf
from tests.workflows.test_views import ingested, views_of
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
MAIL, IBAN = "ada.lovelace@example.org", "DE89370400440532013000"
LETTER = f"{page_text(1)}\nWrite to {MAIL} about the mill.\nPay to {IBAN} before harvest."
SCRIPT = f"/OpenAction<</S/JavaScript/JS(app.alert\\('{MAIL}'\\))>>/Lang({MAIL})"
COMMENT = f"/Annots[<</Type/Annot/Subtype/Text/Rect[500 20 520 40]/Contents({IBAN})>>]"


async def redacted(workshop: Workshop, owner: TenantIds, job: Job, wanted: NewRedaction) -> bytes:
    services = SimpleNamespace(
        database=workshop.database,
        blobs=workshop.stores.blobs,
        views=views_of(workshop),
        scans=ScanPolicy(),
    )
    caller = Caller(
        owner.tenant_id,
        owner.principal_id,
        new_id(),
        frozenset({"files:read", "files:write"}),
        True,
    )
    sealed = await redact(cast(Services, services), caller, job.file_id, None, wanted)
    assert sealed.name is not None
    assert sealed.name == "redacted.pdf"
    return await workshop.stores.blobs.read_all(sealed.tenant_id, sealed.blob_id)


async def texts_of(workshop: Workshop, job: Job, pages: int) -> str:
    readers = PageReaders(workshop.database, workshop.stores.blobs, Access(job.tenant_id))
    texts = [await readers.text(job.file_id, 1, page) for page in range(1, pages + 1)]
    return "\n".join(each or "" for each in texts)


def laid_bare(content: bytes) -> bytes:
    """The file's bytes and, unpacked, all of its streams that are packed."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    unpacked = [zlib.decompressobj().decompress(each) for each in streams if each[:1] == b"\x78"]
    return b"\n".join([content, *unpacked])


def require_pictures_alone(content: bytes, pages: int) -> None:
    document = pypdfium2.PdfDocument(content)
    try:
        assert len(document) == pages
        assert document.count_attachments() == 0
        assert not list(document.get_toc())
        for page in document:
            assert page.get_textpage().get_text_range() == ""
            assert [type(each) for each in page.get_objects()] == [pypdfium2.PdfImage]
    finally:
        document.close()
    bare = laid_bare(content)
    for gone in (MAIL, IBAN, "lovelace", "JavaScript", "/Annots", "/OpenAction", "/Lang", "/Font"):
        assert gone.encode() not in bare, gone


async def test_what_was_found_is_in_no_text_no_byte_and_no_pixel(
    workshop: Workshop, owner: TenantIds
) -> None:
    content = (
        text_pdf([LETTER, LETTER])
        .replace(b"/Pages 2 0 R>>", f"/Pages 2 0 R{SCRIPT}>>".encode(), 1)
        .replace(b"/MediaBox[0 0 595 842]", f"/MediaBox[0 0 595 842]{COMMENT}".encode(), 1)
    )
    turned = b"/MediaBox[0 0 595 842]/Contents"
    assert turned in content
    content = content.replace(
        turned, b"/MediaBox[0 0 595 842]/CropBox[50 500 590 800]/Rotate 90/Contents"
    )
    async with workshop.working():
        job = await ingested(workshop, owner, content, "letter.pdf", PDF)
        read = await texts_of(workshop, job, 2)
        assert read.count(MAIL) >= 2, "else nothing is proven"
        made = await redacted(workshop, owner, job, NewRedaction())
        assert made == await redacted(workshop, owner, job, NewRedaction())
        require_pictures_alone(made, pages=2)
        again = await ingested(workshop, owner, made, "copy.pdf", PDF)
        seen = await texts_of(workshop, again, 2)
    assert "mill" in seen
    assert seen.count("harvest") == 2, "what stands beside is still to be read"
    for gone in (MAIL, IBAN, "lovelace", "example", "DE89", "3000"):
        assert gone not in seen, gone
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        rows = await session.execute(
            text(
                "SELECT payload->>'findings' FROM audit_event"
                " WHERE action = 'file.redacted' AND object_id = :file_id"
            ),
            {"file_id": job.file_id},
        )
    assert [int(each) >= 4 for each in rows.scalars()] == [True, True]


async def test_numbers_in_a_scan_and_regions_are_painted_over(
    workshop: Workshop, owner: TenantIds
) -> None:
    scan = scanned_pdf([f"Write to\n{MAIL}\nabout the mill"], width=500)
    async with workshop.working():
        job = await ingested(workshop, owner, scan, "scan.pdf", PDF)
        made = await redacted(workshop, owner, job, NewRedaction(types=["EMAIL_ADDRESS"]))
        require_pictures_alone(made, pages=1)
        again = await ingested(workshop, owner, made, "copy.pdf", PDF)
        seen = await texts_of(workshop, again, 1)
        everything = NewRedaction(types=[], regions=[Region(page=1, bbox=(0, 0, 9_999, 9_999))])
        black = await redacted(workshop, owner, job, everything)
        page = pypdfium2.PdfDocument(black)[0].render()
        assert int(page.to_numpy().max()) == 0
    assert "mill" in seen
    assert "lovelace" not in seen
    assert "example" not in seen


async def test_a_copy_with_nothing_painted_over_is_refused(
    workshop: Workshop, owner: TenantIds
) -> None:
    async with workshop.working():
        plain = await ingested(workshop, owner, text_pdf([page_text(1)]), "plain.pdf", PDF)
        note = await ingested(workshop, owner, MAIL.encode(), "note.txt", "text/plain")
        outside = Region(page=1, bbox=(600, 0, 700, 10))
        for job, wanted, why in (
            (plain, NewRedaction(), "nothing was found"),
            (plain, NewRedaction(types=["EMIAL"]), "no finding of a type"),
            (plain, NewRedaction(types=[]), "neither types nor regions"),
            (plain, NewRedaction(types=[], regions=[outside]), "on no page"),
            (note, NewRedaction(), "no pictures of pages"),
        ):
            with pytest.raises(Unprocessable, match=why):
                await redacted(workshop, owner, job, wanted)
        stranger = TenantIds(new_id(), new_id(), new_id())
        with pytest.raises(NotFound):
            await redacted(workshop, stranger, plain, NewRedaction())
