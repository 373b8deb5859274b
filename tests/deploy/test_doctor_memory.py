"""`doctor` says how large a file may be that the workers open."""

from pathlib import Path

from deploy.embedded.doctor import Health, _memory_for_content
from muniment.opened_content import largest_in_memory
from muniment.settings import ApiSettings, Settings, WorkerSettings


def test_memory_that_is_smaller_than_uploads_is_told_with_its_remedy(tmp_path: Path) -> None:
    larger = ApiSettings(max_upload_bytes=largest_in_memory() + 1)
    found = _memory_for_content(Settings(api=larger))
    assert found.state is Health.DEGRADED
    assert "MUNIMENT_WORKER__SCRATCH_OVERFLOW" in (found.remedy or "")
    disk = WorkerSettings(scratch_overflow=tmp_path)
    assert _memory_for_content(Settings(api=larger, worker=disk)).state is Health.OK
    fitting = ApiSettings(max_upload_bytes=largest_in_memory())
    assert _memory_for_content(Settings(api=fitting)).state is Health.OK
