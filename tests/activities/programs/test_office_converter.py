"""LibreOffice as a converter: used where it is and can be confined, and not missed elsewhere."""

import asyncio
import shutil
from pathlib import Path

import pytest

from activities.engines import ENGINE_VERSIONS, PRELOAD, DocumentEngines
from activities.programs import ConfinedPrograms, Program
from activities.programs.office import LIMITS, PROFILE, OfficeConverter
from activities.sandbox import Sandbox
from muniment.contracts.documents import DocumentFamily
from muniment.errors import ConfigurationError
from tests.conftest import REPOSITORY

MINUTES = REPOSITORY / "deploy" / "samples" / "safety-meeting-minutes.docx"
WORD_97 = "application/msword"


def test_without_libreoffice_documents_are_read_as_before() -> None:
    async def start(soffice: str) -> OfficeConverter:
        converter = OfficeConverter(ConfinedPrograms(), soffice)
        await converter.start()
        return converter

    off = asyncio.run(start("off"))
    assert (off.version, off.takes(WORD_97)) == (None, False)
    with pytest.raises(ConfigurationError, match="MUNIMENT_PROGRAMS__SOFFICE"):
        asyncio.run(start("/usr/bin/no-such-program"))


@pytest.mark.slow
def test_a_document_of_word_97_is_read_as_its_present_format() -> None:
    soffice = shutil.which("soffice")
    if soffice is None or not asyncio.run(ConfinedPrograms().works()):
        pytest.skip("LibreOffice or bubblewrap is absent (packages `libreoffice-writer-nogui`)")

    async def read(soffice: str) -> None:
        programs = ConfinedPrograms()
        converter = OfficeConverter(programs, "auto")
        await converter.start()
        old = await programs.run(
            Program("LibreOffice", Path(soffice).resolve()),
            ("--headless", PROFILE, "--convert-to", "doc", "--outdir", "out", "a.docx"),
            inputs={"a.docx": MINUTES},
            result="out/a.doc",
            limits=LIMITS,
        )
        async with Sandbox(concurrency=2, preload=PRELOAD) as sandbox:
            engines = DocumentEngines(sandbox, converter=converter)
            assert engines.version("inspect") != ENGINE_VERSIONS["inspect"]
            plan = await engines.inspect(old, declared_media_type=WORD_97, name="a.doc")
            assert (plan.media_type, plan.family) == (WORD_97, DocumentFamily.WORD)
            assert (plan.read_as or "").endswith("wordprocessingml.document")
            batch, failed = await engines.read_text(old, plan, range(1, plan.page_count + 1))
            document = await engines.assemble(plan, [batch], name="a.doc")
        assert not failed
        assert "section_header" in document or '"title"' in document

    asyncio.run(read(soffice))
