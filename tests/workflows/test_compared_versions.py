"""Versions of a file compared by what real ingestions read of them."""

from types import SimpleNamespace
from typing import cast

import pytest
from temporalio.client import WorkflowFailureError

from api.authentication import Caller
from api.files.scan_policy import ScanPolicy
from api.services import Services
from api.slots import Slots
from api.version_comparisons import service
from api.version_comparisons.schemas import VersionComparison
from api.version_comparisons.service import Wanted, compare
from db.models import Job, new_id
from muniment.errors import Conflict, Unprocessable
from tests.workflows.documents import page_text, scanned_pdf, text_pdf
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

PDF = "application/pdf"
PAGES = [page_text(number) for number in range(1, 5)]


async def compared(
    workshop: Workshop, owner: TenantIds, job: Job, number: int = 2, former: int | None = None
) -> VersionComparison:
    services = SimpleNamespace(
        database=workshop.database,
        blobs=workshop.stores.blobs,
        version_comparisons=Slots(1, "comparisons"),
        scans=ScanPolicy(),
    )
    caller = Caller(owner.tenant_id, owner.principal_id, new_id(), frozenset({"files:read"}), True)
    wanted = Wanted(number, former, limit=50, after=0, is_unchanged_shown=True)
    return await compare(cast(Services, services), caller, job.file_id, wanted)


async def two_versions(
    workshop: Workshop,
    owner: TenantIds,
    contents: tuple[bytes, bytes],
    name: str = "a.pdf",
    media_type: str = PDF,
) -> Job:
    job = await workshop.upload(owner, contents[0], name, media_type)
    async with workshop.working():
        await (await workshop.start(job)).result()
        following = await workshop.new_version(owner, job, contents[1])
        await (await workshop.start(following)).result()
    return job


def told(comparison: VersionComparison) -> list[tuple[str, int | None, int | None, bool]]:
    return [(page.state.value, page.with_page, page.page, page.moved) for page in comparison.data]


async def test_pages_that_were_inserted_changed_and_removed_are_told_apart(
    workshop: Workshop, owner: TenantIds
) -> None:
    changed = PAGES[2].replace("the lease of the mill", "the deed of the mill")
    contents = text_pdf(PAGES), text_pdf([PAGES[0], page_text(77), changed, PAGES[3]])
    job = await two_versions(workshop, owner, contents)
    inserted = await compared(workshop, owner, job)
    assert told(inserted)[0] == ("unchanged", 1, 1, False)
    assert told(inserted)[-2:] == [("changed", 3, 3, False), ("unchanged", 4, 4, False)]
    page = next(page for page in inserted.data if page.page == 3)
    assert (page.words_removed, page.words_added) == (8, 8)
    kinds = {(span.kind.value, span.text) for span in page.differences if span.kind != "equal"}
    assert {("removed", "lease"), ("added", "deed")} <= kinds
    same = await compared(workshop, owner, job, 2, 2)
    assert (same.pages.unchanged, len(same.data)) == (4, 4)


async def test_a_moved_page_and_an_inserted_one_change_no_other(
    workshop: Workshop, owner: TenantIds
) -> None:
    new = "\n".join(f"A wholly other matter of herrings and barrels, {n}." for n in range(8))
    contents = text_pdf(PAGES), text_pdf([new, *PAGES[1:], PAGES[0]])
    job = await two_versions(workshop, owner, contents)
    forth = await compared(workshop, owner, job)
    assert told(forth) == [
        ("added", None, 1, False), ("unchanged", 2, 2, False), ("unchanged", 3, 3, False),
        ("unchanged", 4, 4, False), ("unchanged", 1, 5, True),
    ]  # fmt: skip
    assert "herrings" in forth.data[0].differences[0].text
    back = await compared(workshop, owner, job, 1, 2)
    assert (back.pages.removed, back.pages.moved, back.pages.changed) == (1, 1, 0)
    assert ("removed", 1, None, False) in told(back)


async def test_a_format_without_pages_is_one_page_and_texts_are_bounded(
    workshop: Workshop, owner: TenantIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = b"The clerk holds one key.\n", b"The town clerk holds one key.\n"
    job = await two_versions(workshop, owner, contents, "a.txt", "text/plain")
    (page,) = (await compared(workshop, owner, job)).data
    assert [(span.kind.value, span.text) for span in page.differences] == [
        ("equal", "The"),
        ("added", "town"),
        ("equal", "clerk holds one key."),
    ]
    monkeypatch.setattr(service, "MOST_CHARACTERS", 20)
    with pytest.raises(Unprocessable, match="more than 20 characters") as refused:
        await compared(workshop, owner, job)
    assert refused.value.remedy
    monkeypatch.setattr(service, "MOST_PAGES", 0)
    with pytest.raises(Unprocessable, match="more than 0 pages"):
        await compared(workshop, owner, job)


async def test_scanned_pages_are_compared_by_what_was_recognised(
    workshop: Workshop, owner: TenantIds
) -> None:
    first, second = "MILL LEASE\nSIGNED IN MAY", "OAK CHEST\nTHREE LOCKS"
    contents = scanned_pdf([first, second]), scanned_pdf([second, first])
    job = await two_versions(workshop, owner, contents)
    found = await compared(workshop, owner, job)
    assert (found.pages.unchanged, found.pages.moved) == (2, 1)


async def test_a_version_that_failed_is_told_as_unread(
    workshop: Workshop, owner: TenantIds
) -> None:
    job = await workshop.upload(owner, text_pdf(PAGES[:1]), "a.pdf", PDF)
    async with workshop.working():
        await (await workshop.start(job)).result()
        following = await workshop.new_version(owner, job, b"%PDF-1.7\nnothing")
        handle = await workshop.start(following)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    with pytest.raises(Conflict, match="version 2 has not been read") as refused:
        await compared(workshop, owner, job)
    assert refused.value.remedy
