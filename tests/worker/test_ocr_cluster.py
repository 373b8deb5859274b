"""A Ray that does not answer is taken for lost, and holds up nothing."""

import subprocess
import sys

from tests.conftest import REPOSITORY

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
