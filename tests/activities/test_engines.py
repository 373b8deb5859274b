"""The engines' typed face: what it makes of an engine that misbehaves."""

from typing import Any

from activities.engines import DocumentEngines
from activities.read.batch_reader import MAXIMUM_SET_APART
from muniment.contracts.documents import DocumentFamily, DocumentPlan, PagePlan, PageSource


class Silent:
    """In the sandbox's place: an engine that ends well and says nothing about any page."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    async def run(self, call: Any, **_: object) -> Any:
        self.asked.append(call.request.pages)
        return call.response.model_validate({})


async def test_pages_that_an_engine_passes_over_fail_after_one_more_attempt_each() -> None:
    sandbox = Silent()
    numbers = range(1, MAXIMUM_SET_APART + 3)
    plan = DocumentPlan(
        media_type="application/pdf",
        family=DocumentFamily.PDF,
        page_count=len(numbers),
        pages=tuple(
            PagePlan(page=number, source=PageSource.TEXT, reason="good") for number in numbers
        ),
    )
    batch, failed = await DocumentEngines(sandbox).read_text(b"", plan, list(numbers))  # type: ignore[arg-type] # a stand-in
    assert batch.pages == ()
    assert [page.page for page in failed] == list(numbers)
    assert sandbox.asked == [tuple(numbers), *((number,) for number in numbers)]
