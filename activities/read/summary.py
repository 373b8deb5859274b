"""What is known of a batch of pages without opening its artifact."""

from collections.abc import Iterable, Sequence

from activities.engines import DocumentEngines
from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentPlan, Page, PageSource
from muniment.contracts.read import FailedPage


def reading_version(engines: DocumentEngines) -> str:
    """Both engines' versions count: a batch may hold pages of either."""
    return "+".join(engines.version(name) for name in ("read_text", "read_ocr"))


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
    """Summary of a batch's output; the counts add up to the job's (`stages.count_pages`)."""

    last_page: int
    done: int
    failed: int = 0
    reused: int = 0
    pages: tuple[PageFacts, ...] = ()
    failures: tuple[FailedPageFacts, ...] = ()
    engines: str | None = None

    def is_by(self, engines: DocumentEngines) -> bool:
        """Whether these engines would read the same from the same pages."""
        return self.engines == reading_version(engines)


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
    reused: int,
    engines: str,
) -> ReadSummary:
    """The summary of what came out of a batch that was read by engines of that version."""
    sources = {planned.page: planned.source for planned in plan.pages}
    failures = tuple(
        FailedPageFacts(
            page=failure.page,
            source=sources.get(failure.page, PageSource.TEXT),
            problem=failure.problem,
        )
        for failure in sorted(failed, key=lambda failure: failure.page)
    )
    return ReadSummary(
        last_page=last_page,
        done=len(pages),
        failed=len(failures),
        reused=reused,
        pages=tuple(facts_of(page) for page in pages),
        failures=failures,
        engines=engines,
    )
