"""A converter that fails for a passing reason is asked again, by later attempts and later runs."""

from pathlib import Path

import pytest

from activities.engines import DocumentEngines
from activities.inspect.activity import Inspect
from activities.programs import ConfinedPrograms
from activities.programs.office import CONVERSIONS, MEDIA_TYPES, OfficeConverter
from activities.read.activity import Read
from db.models import Job
from db.queries.quotas import Quota
from muniment.errors import EngineTimedOut
from tests.conftest import REPOSITORY
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

MINUTES = REPOSITORY / "deploy" / "samples" / "safety-meeting-minutes.docx"
WORD_97 = "application/msword"


class Loaded(OfficeConverter):
    """Not done in time so many times, then with a document of its own."""

    def __init__(self, failures: int) -> None:
        super().__init__(ConfinedPrograms(), "off")
        self.version = "LibreOffice 1.0"
        self.failures = failures
        self.asked = 0

    def takes(self, media_type: str) -> bool:
        return media_type in CONVERSIONS

    async def converted(self, content: object, media_type: str) -> tuple[bytes, str]:
        self.asked += 1
        if self.asked <= self.failures:
            raise EngineTimedOut("LibreOffice was not done after 240 s.")
        return MINUTES.read_bytes(), MEDIA_TYPES["docx"]


async def inspected(workshop: Workshop, job: Job, converter: OfficeConverter) -> str:
    """How the stage ended, all other stages being as ever."""
    parts = workshop.parts
    engines = DocumentEngines(parts.sandbox, converter=converter)
    inspect = Inspect(parts.runner, engines, parts.scratch, 100, parts.ocr_route, Quota())
    read = Read(parts.runner, engines, parts.scratch)
    async with workshop.working(replacing=[inspect.inspect_document, read.read_pages]):
        await (await workshop.start(job)).result()
    row = await workshop.job(job)
    return next(str(stage["state"]) for stage in row.stages if stage["name"] == "inspect")


async def reasons(workshop: Workshop, job: Job) -> list[str]:
    events = [event.payload for event in await workshop.events(job) if event.event == "retry"]
    return [str(retry["reason"]) for retry in events]


async def test_a_conversion_that_fails_once_is_tried_again(
    workshop: Workshop, owner: TenantIds, shared_data: Path
) -> None:
    content = (shared_data / "documents/office-legacy/legacy_sample.doc").read_bytes()
    job = await workshop.upload(owner, content, "a.doc", WORD_97)
    converter = Loaded(failures=1)
    assert await inspected(workshop, job, converter) == "completed"
    assert await reasons(workshop, job) == ["engine-timed-out"]


async def test_a_document_that_was_not_converted_is_read_all_the_same_and_converted_later(
    workshop: Workshop, owner: TenantIds, shared_data: Path
) -> None:
    content = (shared_data / "documents/office-legacy/legacy_sample.doc").read_bytes()
    job = await workshop.upload(owner, content, "a.doc", WORD_97)
    converter = Loaded(failures=3)
    assert await inspected(workshop, job, converter) == "completed"
    assert (converter.asked, len(await reasons(workshop, job))) == (3, 2)
    again = await workshop.retry(job)
    assert await inspected(workshop, again, converter) == "completed"
    assert converter.asked > 3
    last = await workshop.retry(job)
    assert await inspected(workshop, last, converter) == "reused"
