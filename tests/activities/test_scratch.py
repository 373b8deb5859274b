"""Opened content: there while it is used, gone afterwards, whatever happens."""

import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from activities.scratch import FOLDER, Scratch
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
