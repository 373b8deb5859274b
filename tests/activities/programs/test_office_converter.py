"""LibreOffice as a converter: used where it is and can be confined, and not missed elsewhere."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from activities.engines import ENGINE_VERSIONS, PRELOAD, DocumentEngines
from activities.programs import ConfinedPrograms, Program
from activities.programs.office import LIMITS, PROFILE, OfficeConverter
from activities.sandbox import Sandbox
from db.session import Database
from muniment.contracts.documents import DocumentFamily
from muniment.errors import ConfigurationError, EngineTimedOut
from muniment.settings import (
    ImportSettings,
    ImportSource,
    KeySettings,
    ObjectSettings,
    ProgramSettings,
    Settings,
    WorkerSettings,
)
from muniment.stores import open_stores
from tests.conftest import REPOSITORY
from worker.parts import Parts

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


def installed(at: Path) -> Path:
    """A program in LibreOffice's place."""
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text("#!/bin/sh\necho LibreOffice 1.0\n")
    at.chmod(0o755)
    return at


def confined() -> ConfinedPrograms:
    programs = ConfinedPrograms()
    if not asyncio.run(programs.works()):
        pytest.skip("bubblewrap is absent or not allowed here (package `bubblewrap`)")
    return programs


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below /tmp, in whose place confined programs find their own; open to whom they run as."""
    with TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_libreoffice_is_used_from_a_folder_of_its_own(folder: Path) -> None:
    programs = confined()
    link = folder / "bin" / "soffice"
    link.parent.mkdir()
    link.symlink_to(installed(folder / "office" / "program" / "soffice"))
    converter = OfficeConverter(programs, str(link), [folder / "keys"])
    asyncio.run(converter.start())
    assert converter.version == "LibreOffice 1.0"


@pytest.mark.parametrize("path", ["/soffice", "/opt/soffice", "/opt/program/soffice"])
def test_a_program_beside_others_is_not_taken_for_libreoffice(path: str) -> None:
    converter = OfficeConverter(ConfinedPrograms(), path)
    with pytest.raises(ConfigurationError, match="installation folder") as refused:
        asyncio.run(converter.start())
    assert "/opt/libreoffice/program/soffice" in (refused.value.remedy or "")


@pytest.mark.parametrize("place", ["bin/soffice", "program/soffice", "office/program/soffice"])
def test_a_folder_that_holds_private_ones_is_not_shown_to_libreoffice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    executable = installed(tmp_path / place)
    private = [tmp_path, tmp_path / "office" / "keys"]
    with pytest.raises(ConfigurationError, match="installation folder"):
        asyncio.run(OfficeConverter(ConfinedPrograms(), str(executable), private).start())
    monkeypatch.setenv("PATH", str(executable.parent))
    found = OfficeConverter(ConfinedPrograms(), "auto", private)
    asyncio.run(found.start())
    assert (found.version, found.takes(WORD_97)) == (None, False)


@pytest.mark.parametrize("private", ["keys", "objects", "scratch", "imports", "home"])
def test_a_worker_shows_libreoffice_no_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: str
) -> None:
    executable = installed(tmp_path / "office" / "program" / "soffice")
    places = {
        each: tmp_path / each / "folder"
        for each in ("keys", "objects", "scratch", "imports", "home")
    }
    places[private] = tmp_path / "office" / private
    monkeypatch.setenv("HOME", str(places["home"]))
    settings = Settings(
        keys=KeySettings(root=places["keys"]),
        objects=ObjectSettings(root=places["objects"]),
        worker=WorkerSettings(scratch=places["scratch"]),
        imports=ImportSettings(
            sources=(ImportSource(name="all", tenants=("*",), folder=places["imports"]),)
        ),
        programs=ProgramSettings(soffice=str(executable)),
    )

    async def start() -> None:
        database = Database("postgresql://nobody@127.0.0.1:1/none")
        async with AsyncExitStack() as resources:
            await Parts(settings, database, open_stores(settings), resources).converter.start()

    with pytest.raises(ConfigurationError, match="installation folder"):
        asyncio.run(start())


class Slow(ConfinedPrograms):
    """Programs that are not done in time at first."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def run(self, *_: object, **__: object) -> bytes:
        self.failures -= 1
        if self.failures >= 0:
            raise EngineTimedOut("LibreOffice was not done after 60 s.")
        return b"LibreOffice 1.0\n"


@pytest.mark.parametrize(("failures", "version"), [(2, "LibreOffice 1.0"), (3, None)])
def test_libreoffice_is_asked_three_times_at_a_loaded_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, version: str | None
) -> None:
    executable = installed(tmp_path / "office" / "program" / "soffice")
    monkeypatch.setenv("PATH", str(executable.parent))
    converter = OfficeConverter(Slow(failures), "auto")
    asyncio.run(converter.start())
    assert converter.version == version


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
            assert engines.converts(plan)
            plan = await engines.plan_converted(old, plan, name="a.doc")
            assert (plan.media_type, plan.family) == (WORD_97, DocumentFamily.WORD)
            assert (plan.read_as or "").endswith("wordprocessingml.document")
            batch, failed = await engines.read_text(old, plan, range(1, plan.page_count + 1))
            document = (await engines.assemble(plan, [batch], name="a.doc")).document
        assert not failed
        assert "section_header" in document or '"title"' in document

    asyncio.run(read(soffice))
