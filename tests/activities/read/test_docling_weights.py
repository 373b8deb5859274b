"""docling's pipeline where it is not all there: refused with what to do, never left out in silence."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from activities.read.docling_weights import require_docling_models
from db.session import Database
from muniment.contracts.pdf_pipeline import PdfPipelineName
from muniment.errors import ConfigurationError
from muniment.settings import KeySettings, ObjectSettings, ReadSettings, Settings
from muniment.stores import open_stores
from worker.parts import Parts


@pytest.mark.parametrize("artifacts", [None, Path("/nowhere")])
def test_what_is_missing_is_named_with_the_way_back(artifacts: Path | None) -> None:
    with pytest.raises(ConfigurationError, match="docling's pipeline was chosen") as caught:
        require_docling_models(artifacts)
    assert "MUNIMENT_READ__PDF_PIPELINE=rules" in caught.value.remedy


@asynccontextmanager
async def parts_of(read: ReadSettings, folder: Path, dsn: str) -> AsyncIterator[Parts]:
    settings = Settings(
        read=read,
        objects=ObjectSettings(root=folder / "objects"),
        keys=KeySettings(root=folder / "keys"),
    )
    database = Database(dsn)
    async with AsyncExitStack() as resources:
        resources.push_async_callback(database.close)
        yield Parts(settings, database, open_stores(settings), resources)


async def test_a_worker_without_it_does_not_start(tmp_path: Path, application_dsn: str) -> None:
    chosen = ReadSettings(pdf_pipeline="docling", docling_artifacts=tmp_path)
    async with parts_of(chosen, tmp_path, application_dsn) as parts:
        with pytest.raises(ConfigurationError, match="docling's pipeline was chosen"):
            parts.read_activities()


@pytest.mark.parametrize("is_named", [False, True])
async def test_a_worker_of_rules_starts_without_it_and_refuses_who_names_it(
    tmp_path: Path, application_dsn: str, is_named: bool
) -> None:
    chosen = ReadSettings(docling_artifacts=tmp_path if is_named else None)
    async with parts_of(chosen, tmp_path, application_dsn) as parts:
        assert parts.read_activities()
        for name in (None, PdfPipelineName.RULES):
            assert parts.pipelines.chosen(name) is None
        with pytest.raises(ConfigurationError, match="docling's pipeline was chosen") as caught:
            parts.pipelines.chosen(PdfPipelineName.DOCLING)
    assert "MUNIMENT_READ__DOCLING_ARTIFACTS" in caught.value.remedy
