"""A document that is read whole comes put together from the process that has read it."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from activities.assemble.calls import DOCUMENT_NAME, AssembledDocument
from activities.engines import TEXT_LIMITS, DocumentEngines
from activities.read import at_once
from activities.read.activity import _Read
from activities.read.at_once import PagesAtHand
from activities.read.calls import ReadProgress
from muniment.contracts.documents import DocumentPlan, Page, PageBatch, PageSource
from muniment.contracts.read import FailedPage
from tests.activities.made_documents import SAMPLES, pdf, word_document
from tests.activities.warm_engines import warm_engines

FAULTY = "tests.activities.read.faulty_assembly_for_tests"
UNASKED = "application/x-unasked"
"""As the faulty ones have it, which are not to be loaded here."""
LINES = ["The muniment room", "was rebuilt in 1871, and the town clerk holds one of three keys."]


def paged(count: int) -> bytes:
    return pdf([[(72, 700, 12, f"page number {number}")] for number in range(1, count + 1)])


DOCUMENTS = {
    "pages.pdf": paged(3),
    "headings.pdf": pdf([[(72, 760, 20, LINES[0]), (72, 700, 11, LINES[1])]] * 2),
    "rules.docx": word_document(),
    "rules.md": b"# The muniment room\n\n- one key\n- two keys\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "rules.html": b"<h1>The muniment room</h1><p>One key.</p><table><tr><td>1<td>2</table>",
    "rules.csv": b"key,holder\n1,clerk\n2,mayor\n",
    "rules.txt": "\n\n".join(LINES).encode(),
}


@pytest.fixture(scope="module")
def engines(runner: asyncio.Runner) -> Iterator[DocumentEngines]:
    """Sound ones, but for documents whose plan has a fault for its title."""
    with warm_engines(runner, FAULTY) as engines:
        yield engines


class Reading:
    """What came of reading a document with the wish to have it put together."""

    def __init__(self, plan: DocumentPlan) -> None:
        self.plan = plan
        self.pages = PageBatch(pages=())
        self.failed: tuple[FailedPage, ...] = ()
        self.documents: list[AssembledDocument] = []

    async def read(self, engines: DocumentEngines, content: bytes, *pages: int) -> "Reading":
        self.pages, self.failed = await engines.read_text(
            content,
            self.plan,
            pages or range(1, self.plan.page_count + 1),
            on_document=self.documents.append,
        )
        return self


async def planned(engines: DocumentEngines, content: bytes, name: str) -> Reading:
    return Reading(await engines.inspect(content, declared_media_type="", name=name))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_it_is_the_document_that_is_made_apart(
    runner: asyncio.Runner, engines: DocumentEngines, name: str
) -> None:
    content = DOCUMENTS[name]

    async def scenario() -> tuple[Reading, AssembledDocument]:
        reading = await (await planned(engines, content, name)).read(engines, content)
        kept = reading.pages.model_dump_json().encode()
        return reading, await engines.assemble(reading.plan, [kept], name=DOCUMENT_NAME)

    reading, apart = runner.run(scenario())
    assert reading.failed == ()
    assert len(reading.pages.pages) == reading.plan.page_count
    assert reading.documents == [apart]


def test_a_password_is_for_both(runner: asyncio.Runner, engines: DocumentEngines) -> None:
    content = (SAMPLES / "pdf/encrypted.pdf").read_bytes()

    async def scenario() -> list[AssembledDocument]:
        secret = "openpassword"
        plan = await engines.inspect(content, declared_media_type="", name="a.pdf", password=secret)
        documents: list[AssembledDocument] = []
        pages = range(1, plan.page_count + 1)
        await engines.read_text(content, plan, pages, secret, on_document=documents.append)
        return documents

    (document,) = runner.run(scenario())
    assert "Stet clita" in document.document


def test_a_part_of_the_pages_makes_no_document(
    runner: asyncio.Runner, engines: DocumentEngines
) -> None:
    async def scenario() -> Reading:
        return await (await planned(engines, paged(3), "a.pdf")).read(engines, paged(3), 1, 2)

    reading = runner.run(scenario())
    assert len(reading.pages.pages) == 2
    assert reading.documents == []


def test_a_page_that_failed_leaves_no_document(
    runner: asyncio.Runner, engines: DocumentEngines
) -> None:
    async def scenario() -> Reading:
        reading = await planned(engines, paged(1), "a.pdf")
        reading.plan = reading.plan.model_copy(update={"page_count": 2})
        return await reading.read(engines, paged(1))

    reading = runner.run(scenario())
    assert [failure.page for failure in reading.failed] == [2]
    assert reading.documents == []


@pytest.mark.parametrize("last_page", [1, 2])
def test_a_document_that_nobody_asked_for_or_that_lacks_a_page_is_not_taken(
    runner: asyncio.Runner, engines: DocumentEngines, last_page: int
) -> None:
    async def scenario() -> Reading:
        reading = await planned(engines, paged(1), "a.pdf")
        untrue = {"page_count": 2, "media_type": UNASKED}
        reading.plan = reading.plan.model_copy(update=untrue)
        return await reading.read(engines, paged(1), *range(1, last_page + 1))

    reading = runner.run(scenario())
    assert [page.page for page in reading.pages.pages] == [1]
    assert reading.documents == []


FAULTS = ["raises", "swells", "dies", "hangs", "grows", "refuses"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["pages.pdf", "rules.docx"])
def test_a_document_that_cannot_be_made_takes_no_page_with_it(
    runner: asyncio.Runner,
    engines: DocumentEngines,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    fault: str,
) -> None:
    content = DOCUMENTS[name]

    async def scenario() -> tuple[Reading, Reading]:
        sound = await (await planned(engines, content, name)).read(engines, content)
        faulty = Reading(sound.plan.model_copy(update={"title": fault}))
        if fault == "hangs":
            monkeypatch.setattr("activities.engines.ASSEMBLE_AT_ONCE_SECONDS", 1)
        async with asyncio.timeout(60):
            return sound, await faulty.read(engines, content)

    sound, faulty = runner.run(scenario())
    assert sound.documents
    assert faulty.documents == []
    assert (faulty.pages, faulty.failed) == (sound.pages, ())


@pytest.mark.parametrize("name", ["pages.pdf", "rules.docx"])
def test_an_answer_for_which_the_document_is_too_much_takes_no_page_with_it(
    runner: asyncio.Runner, engines: DocumentEngines, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    content = DOCUMENTS[name]

    async def scenario() -> tuple[Reading, Reading]:
        sound = await (await planned(engines, content, name)).read(engines, content)
        told = [ReadProgress(page=page) for page in sound.pages.pages]
        if sound.pages.document is not None:
            told.append(ReadProgress(document=sound.pages.document))
        size = sum(len(b"progress %s\n" % each.model_dump_json().encode()) for each in told)
        limits = replace(TEXT_LIMITS, output_bytes=size + 100)
        monkeypatch.setattr("activities.engines.TEXT_LIMITS", limits)
        return sound, await Reading(sound.plan).read(engines, content)

    sound, limited = runner.run(scenario())
    assert len(sound.documents[0].document) > 100
    assert limited.documents == []
    assert (limited.pages, limited.failed) == (sound.pages, ())


@pytest.mark.parametrize("failed", [(), (FailedPage(page=1, problem="It is torn."),)])
def test_what_comes_after_the_last_page_is_no_reading(failed: tuple[FailedPage, ...]) -> None:
    read = _Read([], unchanged=set())

    async def reading() -> tuple[PageBatch, tuple[FailedPage, ...]]:
        read.last_page_at = time.perf_counter()
        await asyncio.sleep(0.5)
        return PageBatch(pages=()), failed

    asyncio.run(read.absorb(PageSource.TEXT, reading()))
    # A page that failed is told of in between, and none was put together then.
    assert (read.timings[PageSource.TEXT].seconds < 0.5) == (not failed)


def page(number: int, text: str = "", pictures: int = 0) -> Page:
    return Page(
        page=number, width=1, height=1, source=PageSource.TEXT, engine="a", text=text,
        pictures=((0, 0, 1, 1),) * pictures,
    )  # fmt: skip


@pytest.mark.parametrize("large", [page(2, "0123" * 200), page(2, pictures=8)])
def test_pages_past_the_limit_are_not_held(monkeypatch: pytest.MonkeyPatch, large: Page) -> None:
    monkeypatch.setattr(at_once, "MAXIMUM_CHARACTERS", 1_000)
    at_hand = PagesAtHand()
    at_hand.add(page(1, "01234567" * 40))
    assert len(at_hand._pages) == 1
    at_hand.add(large)
    at_hand.add(page(3))
    assert at_hand.take() == {}
