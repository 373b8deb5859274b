"""kill -9 of a mover at every step loses nothing, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from db.models import now
from muniment.contracts.move_tier import Tier
from muniment.objects.interface import READ_CHUNK_BYTES
from muniment.objects.marks import MARK
from muniment.settings import ColdStoreSettings
from tests.conftest import REPOSITORY
from tests.workflows.cold_store import ColdPlace, with_cold_store
from tests.workflows.killed_mover import STEPS
from tests.workflows.test_verify_integrity import blob_of, rows
from tests.workflows.workshop import TenantIds, Workshop

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONTENT = os.urandom(3 * READ_CHUNK_BYTES)
DAY = timedelta(days=1)


def killed(place: ColdPlace, owner: TenantIds, step: str, size: int) -> None:
    """A process that moves, and kills itself at that step."""
    settings = place.workshop.settings
    environment = {
        **os.environ,
        "MUNIMENT_DATABASE__URL": settings.database.url.get_secret_value(),
        "MUNIMENT_OBJECTS__ROOT": str(place.hot),
        "MUNIMENT_KEYS__ROOT": str(settings.keys.root),
        "MUNIMENT_COLD_STORE__BACKEND": "filesystem",
        "MUNIMENT_COLD_STORE__ROOT": str(place.cold),
    }
    command = [sys.executable, "-m", "tests.workflows.killed_mover"]
    ended = subprocess.run(
        [*command, step, str(owner.tenant_id), str(size), "0"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize("step", STEPS)
async def test_who_comes_after_a_killed_mover_goes_on(
    workshop: Workshop, owner: TenantIds, tmp_path: Path, step: str
) -> None:
    settings = ColdStoreSettings(backend="filesystem", root=tmp_path / "cold")
    place = with_cold_store(workshop, settings, tmp_path / "cold")
    job = await workshop.upload(owner, CONTENT)
    blob_id = await blob_of(workshop, job)
    size = place.path(owner, blob_id, Tier.HOT).stat().st_size
    await place.request(owner, job.file_id, Tier.COLD)
    if "delete" in step:
        await place.run(owner, grace=DAY)
    killed(place, owner, step, size)
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT, "at any time"
    await place.run(owner, times=2)
    assert (await place.tier_of(owner, blob_id), place.where(owner, blob_id)) == ("cold", ["cold"])
    assert await place.content(owner, blob_id, len(CONTENT)) == CONTENT
    assert await rows(workshop, owner, "tier_move") == []
    await place.workshop.stores.blobs.sweep_abandoned(now())
    stored = {path for path in place.cold.rglob("*") if path.is_file()}
    assert stored - {place.cold / MARK} == {place.path(owner, blob_id, Tier.COLD)}
