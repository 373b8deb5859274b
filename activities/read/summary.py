"""What is known of a batch of pages without opening its artifact."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from activities.engines import DocumentEngines
from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentPlan, Page, PageSource
from muniment.contracts.read import FailedPage

ENGINES = {PageSource.TEXT: "read_text", PageSource.OCR: "read_ocr"}


def readers_of(engines: DocumentEngines, sources: Collection[PageSource]) -> dict[PageSource, str]:
    """The versions of the engines that read pages of these sources."""
    return {source: engines.version(name) for source, name in ENGINES.items() if source in sources}


class Timing(Contract):
    """What engines took for so many pages, by the clock, a wait for a free core included."""

    pages: int = 0
    seconds: float = 0.0

    def plus(self, other: "Timing") -> "Timing":
        return Timing(pages=self.pages + other.pages, seconds=self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Making:
    """By which versions of engines a batch was made, and what they took; `structured_by` is empty
    where the pages went through no pipeline."""

    readers: Mapping[PageSource, str]
    structured_by: str = ""
    timings: Mapping[PageSource, Timing] = field(default_factory=dict)
    structuring: Timing = field(default_factory=Timing)


class PageFacts(Contract):
    """A page without its text; `db/queries/publish.py` makes the page's row of it."""

    page: int
    width: float
    height: float
    rotation: int
    source: PageSource
    engine: str
    confidence: float | None


class FailedPageFacts(Contract):
    """A page that could not be read, and why (a problem's name)."""

    page: int
    source: PageSource
    problem: str


class ReadSummary(Contract):
    """Summary of a batch's output; the counts add up to the job's (`stages.count_pages`). `timings`
    are of the pages that were read for it, and not found; `structured_by` and `structuring` of the
    pipeline that all of them went through, if any."""

    last_page: int
    done: int
    failed: int = 0
    reused: int = 0
    ocr_settled: int = 0
    ocr_reused: int = 0
    characters: int = 0
    pages: tuple[PageFacts, ...] = ()
    failures: tuple[FailedPageFacts, ...] = ()
    readers: dict[PageSource, str] = Field(default_factory=dict)
    timings: dict[PageSource, Timing] = Field(default_factory=dict)
    structured_by: str = ""
    structuring: Timing = Timing()
    engines: str | None = None  # what was kept before `readers`, which says it by source

    def is_by(self, engines: DocumentEngines, source: PageSource) -> bool:
        """Whether these engines would read the same from the same page of that source."""
        return self.readers.get(source) == engines.version(ENGINES[source])


def facts_of(page: Page) -> PageFacts:
    return PageFacts(
        page=page.page,
        width=page.width,
        height=page.height,
        rotation=page.rotation,
        source=page.source,
        engine=page.engine,
        confidence=page.confidence,
    )


def summarise(
    plan: DocumentPlan,
    last_page: int,
    pages: Sequence[Page],
    failed: Iterable[FailedPage],
    reused: Collection[int],
    making: Making,
) -> ReadSummary:
    """The summary of what came out of a batch that was made so, the pages `reused` apart."""
    sources = {planned.page: planned.source for planned in plan.pages}
    failures = tuple(
        FailedPageFacts(
            page=failure.page,
            source=sources.get(failure.page, PageSource.TEXT),
            problem=failure.problem,
        )
        for failure in sorted(failed, key=lambda failure: failure.page)
    )
    settled = {page.page for page in pages} | {failure.page for failure in failures}
    by_ocr = {page for page in settled if sources.get(page) is PageSource.OCR}
    return ReadSummary(
        last_page=last_page,
        done=len(pages),
        failed=len(failures),
        reused=len(reused),
        ocr_settled=len(by_ocr),
        ocr_reused=len(by_ocr.intersection(reused)),
        characters=sum(len(page.text) for page in pages),
        pages=tuple(facts_of(page) for page in pages),
        failures=failures,
        readers=dict(making.readers),
        timings=dict(making.timings),
        structured_by=making.structured_by,
        structuring=making.structuring,
    )
