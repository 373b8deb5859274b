"""How often a download has the kernel bring memory; in a process of its own, where it stays set."""

import subprocess
import sys
from pathlib import Path

_MEBIBYTES = 32
_READS_TWICE = """
import asyncio, os, resource, sys
from contextlib import aclosing
from pathlib import Path
from uuid import UUID

from api.freed_memory import keep_freed_memory
from muniment.objects import BlobStore, FilesystemObjectStore
from muniment.sealing import KeyFile

TENANT = UUID(int=1)

async def reads_twice(root: Path, mebibytes: int) -> None:
    kept, wrapped = FilesystemObjectStore(root / "objects"), FilesystemObjectStore(root / "keys")
    store = BlobStore(kept, KeyFile(root / "key.json"), wrapped)
    blob = await store.put_bytes(TENANT, os.urandom(mebibytes * 1024 * 1024))
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        async with aclosing(store.read(TENANT, blob.blob_id, blob.size)) as plaintext:
            async for _ in plaintext:
                pass
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

keep_freed_memory()
asyncio.run(reads_twice(Path(sys.argv[1]), int(sys.argv[2])))
"""


def test_a_download_uses_the_memory_of_the_one_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _READS_TWICE, str(tmp_path), str(_MEBIBYTES)]
    output = subprocess.run(command, capture_output=True, check=True, timeout=120, text=True).stdout
    _, second = map(int, output.split())
    pages = _MEBIBYTES * 256
    # Some more buffers of two mebibytes may be wanted than lie free; else each page comes anew.
    assert second < pages // 4
