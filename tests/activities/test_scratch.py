"""Opened content: there while it is used, gone afterwards, whatever happens."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from activities.scratch import (
    FOLDER,
    FORMER_FOLDER,
    LOCK_FILE,
    Scratch,
)
from muniment.errors import ConfigurationError, StorageFull
from muniment.objects import BlobStore, FilesystemObjectStore
from muniment.opened_content import MEMORY_ROOT, largest_in_memory
from muniment.sealing import KeyFile


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    (tmp_path / "keys").mkdir(mode=0o700)
    return BlobStore(
        FilesystemObjectStore(tmp_path / "objects"),
        KeyFile(tmp_path / "keys" / "tenants.json"),
        FilesystemObjectStore(tmp_path / "keys" / "wrapped"),
    )


async def test_content_is_private_and_removed_after_use(tmp_path: Path, blobs: BlobStore) -> None:
    tenant = uuid4()
    content = bytes(range(256)) * 1024
    sealed = await blobs.put_bytes(tenant, content)
    with Scratch(blobs, tmp_path / "scratch") as scratch:
        async with scratch.opened(tenant, sealed.blob_id, sealed.size) as path:
            assert path.read_bytes() == content
            assert path.stat().st_mode & 0o777 == 0o600
        assert not path.exists()
        with pytest.raises(RuntimeError):
            async with scratch.opened(tenant, sealed.blob_id, sealed.size) as path:
                raise RuntimeError
        assert not path.exists()
    assert list((tmp_path / "scratch" / FOLDER).iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from activities.scratch import Scratch\n"
        "scratch = Scratch(None, Path(sys.argv[1])); scratch.__enter__()\n"
        "(scratch._folders[0].path / 'plaintext').write_text('secret'); print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        assert len(list(tmp_path.rglob("plaintext"))) == 2
        processes[0].kill()
        processes[0].wait()
        time.sleep(0.1)
        with Scratch(None, tmp_path):  # type: ignore[arg-type] # no content is opened here
            assert len(list(tmp_path.rglob("plaintext"))) == 1
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


async def test_what_is_too_large_for_memory_goes_where_the_operator_says_or_nowhere(
    tmp_path: Path, blobs: BlobStore
) -> None:
    tenant = uuid4()
    sealed = await blobs.put_bytes(tenant, b"a small piece of a file that says to be larger")
    total = shutil.disk_usage(MEMORY_ROOT).total
    with Scratch(blobs) as memory_alone:
        assert memory_alone.roots == [MEMORY_ROOT]
        assert memory_alone.largest_file == largest_in_memory() < total
        with pytest.raises(StorageFull, match="does not fit") as full:
            async with memory_alone.opened(tenant, sealed.blob_id, total):
                pytest.fail("it was opened")
        assert "shm_size" in full.value.remedy
        async with memory_alone.opened(tenant, sealed.blob_id, sealed.size) as path:
            assert path.is_relative_to(MEMORY_ROOT)
    with Scratch(blobs, overflow=tmp_path) as overflowing:
        assert overflowing.largest_file is None
        # Too large, they are not opened to their end; where they would have lain tells enough.
        for size, root in ((total, tmp_path), (sealed.size, MEMORY_ROOT)):
            path, file = overflowing._create(size)
            file.close()
            assert path.is_relative_to(root)


def test_memory_is_promised_once_among_all_processes(tmp_path: Path) -> None:
    """Nothing of it is written: the promise alone counts, and ends with the file or its process."""
    size = shutil.disk_usage(MEMORY_ROOT).free * 2 // 5
    script = (
        "import sys, time; from activities.scratch import Scratch\n"
        "scratch = Scratch(None); scratch.__enter__()\n"
        "promised = scratch._create(int(sys.argv[1])); print('promised', flush=True)\n"
        "time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(size)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "promised\n"
        with Scratch(None) as scratch:  # type: ignore[arg-type] # no content is opened here
            with pytest.raises(StorageFull):
                scratch._create(size)
            other.kill()
            other.wait()
            with Scratch(None):  # type: ignore[arg-type] # which sweeps what the killed one promised
                path, file = scratch._create(size)
            with pytest.raises(StorageFull):
                scratch._create(size)
            file.close()
            path.unlink()
            scratch._create(size)[1].close()
    finally:
        other.kill()
        other.wait()
        if other.stdout is not None:
            other.stdout.close()


def test_without_memory_to_write_in_no_disk_is_taken_unasked(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(ConfigurationError, match="would lie on a disk") as refused:
        Scratch(None, memory=absent)  # type: ignore[arg-type]
    assert "MUNIMENT_WORKER__SCRATCH" in refused.value.remedy
    assert Scratch(None, overflow=tmp_path, memory=absent).roots == [tmp_path]  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="takes all files"):
        Scratch(None, tmp_path, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["open to others", "a link"])
def test_a_folder_that_others_could_reach_is_not_taken(fault: str, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    if fault == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with (
        pytest.raises(ConfigurationError, match="closed to all others"),
        Scratch(None, tmp_path),  # type: ignore[arg-type]
    ):
        pytest.fail("it was taken")


def test_what_an_older_version_left_in_the_temporary_folder_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / FORMER_FOLDER / "abc"
    left.mkdir(parents=True)
    (left / LOCK_FILE).touch()
    (left / "1").write_text("words of a document")
    with Scratch(None):  # type: ignore[arg-type]
        assert not left.exists()
