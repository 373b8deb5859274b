"""docling's pipeline where it is not all there: refused with what to do, never left out in silence."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from activities.read.docling_weights import require_docling_models
from db.session import Database
from muniment.errors import ConfigurationError
from muniment.settings import KeySettings, ObjectSettings, ReadSettings, Settings
from muniment.stores import open_stores
from worker.parts import Parts


@pytest.mark.parametrize("artifacts", [None, Path("/nowhere")])
def test_what_is_missing_is_named_with_the_way_back(artifacts: Path | None) -> None:
    with pytest.raises(ConfigurationError, match="docling's pipeline was chosen") as caught:
        require_docling_models(artifacts)
    assert "MUNIMENT_READ__PDF_PIPELINE=rules" in caught.value.remedy


async def test_a_worker_without_it_does_not_start(tmp_path: Path, application_dsn: str) -> None:
    settings = Settings(
        read=ReadSettings(pdf_pipeline="docling", docling_artifacts=tmp_path),
        objects=ObjectSettings(root=tmp_path / "objects"),
        keys=KeySettings(root=tmp_path / "keys"),
    )
    database = Database(application_dsn)
    async with AsyncExitStack() as resources:
        resources.push_async_callback(database.close)
        parts = Parts(settings, database, open_stores(settings), resources)
        with pytest.raises(ConfigurationError, match="docling's pipeline was chosen"):
            parts.read_activities()
