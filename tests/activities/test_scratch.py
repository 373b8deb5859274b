"""Opened content: there while it is used, gone afterwards, whatever happens."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from activities.scratch import FOLDER, MEMORY_ROOT, Scratch
from muniment.errors import LimitExceeded
from muniment.objects import BlobStore, FilesystemObjectStore
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
    space = shutil.disk_usage(MEMORY_ROOT)
    with Scratch(blobs) as memory_alone:
        assert memory_alone.roots == [MEMORY_ROOT]
        with pytest.raises(LimitExceeded, match="more than half"):
            async with memory_alone.opened(tenant, sealed.blob_id, space.total):
                pytest.fail("it was opened")
        async with memory_alone.opened(tenant, sealed.blob_id, sealed.size) as path:
            assert path.is_relative_to(MEMORY_ROOT)
    with Scratch(blobs, overflow=tmp_path) as overflowing:
        # Too large, it is not opened to its end; where it would have lain tells enough.
        assert overflowing._place(space.total).is_relative_to(tmp_path)
        assert overflowing._place(sealed.size).is_relative_to(MEMORY_ROOT)
