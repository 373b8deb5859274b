"""A Ray that does not answer is taken for lost, and holds up nothing."""

import shutil
import subprocess
import sys

import pytest

from muniment.errors import OcrServiceUnavailable
from muniment.opened_content import MEMORY_ROOT
from muniment.settings import RaySettings
from tests.conftest import REPOSITORY
from worker.ocr_cluster import OcrCluster

# In a process of its own, whose end is what is asked about. In the tests' process Ray is to be
# imported by a cluster that starts one, and by nothing before: Ray reads its token then.
SILENT_RAY = """
import asyncio, threading
from activities.ocr_service import service
from muniment.errors import OcrServiceUnavailable
from muniment.settings import RaySettings
from worker import ocr_cluster

service.is_serving = lambda _: threading.Event().wait()
ocr_cluster.WATCH_SECONDS = 0.05
try:
    asyncio.run(ocr_cluster.OcrCluster(RaySettings()).watch())
except OcrServiceUnavailable as error:
    print(error)
"""


def test_a_ray_that_never_answers_keeps_no_process_from_ending() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SILENT_RAY],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "Ray is lost.\n"), ended.stderr


async def test_where_memory_is_too_small_ray_is_not_started_on_a_disk() -> None:
    space = shutil.disk_usage(MEMORY_ROOT)
    settings = RaySettings(object_store_bytes=space.total + 1)
    with pytest.raises(OcrServiceUnavailable, match="less space free") as refused:
        async with OcrCluster(settings):
            pytest.fail("it was started")
    assert "MUNIMENT_RAY__OBJECT_STORE_BYTES" in refused.value.remedy
