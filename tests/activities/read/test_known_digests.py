"""Digests are computed once for a document, beside those of others, and failures are remembered."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from activities.engines import DocumentEngines
from activities.read.calls import PageDigests
from activities.read.known_digests import NO_DIGESTS, KnownDigests
from activities.sandbox import Sandbox
from activities.scratch import Scratch
from muniment.objects import BlobStore, FilesystemObjectStore
from muniment.sealing import KeyFile
from tests.activities.made_documents import SAMPLES, pdf


class WatchedEngines(DocumentEngines):
    """Counts its calls, all of them and those at the same time."""

    calls = 0
    running = 0
    most_running = 0

    async def digest_pages(self, content: Path | bytes, password: str | None = None) -> PageDigests:
        self.calls += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await super().digest_pages(content, password)
        finally:
            self.running -= 1


class Known:
    """What is asked for digests, on top of a real store and a real sandbox."""

    def __init__(self, blobs: BlobStore, engines: WatchedEngines, scratch: Scratch) -> None:
        self.engines = engines
        self._blobs = blobs
        self._digests = KnownDigests(engines, scratch)
        self._tenant_id = uuid4()

    async def kept(self, content: bytes) -> tuple[UUID, int]:
        sealed = await self._blobs.put_bytes(self._tenant_id, content)
        return sealed.blob_id, sealed.size

    async def of(self, blob: tuple[UUID, int], password: str | None = None) -> PageDigests:
        return await self._digests.of(self._tenant_id, *blob, password)


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[Known]:
    (tmp_path / "keys").mkdir(mode=0o700)
    blobs = BlobStore(
        FilesystemObjectStore(tmp_path / "objects"),
        KeyFile(tmp_path / "keys" / "tenants.json"),
        FilesystemObjectStore(tmp_path / "keys" / "wrapped"),
    )
    with Scratch(blobs, tmp_path / "scratch") as scratch:
        async with Sandbox(concurrency=2, preload=["activities.read.digests"]) as sandbox:
            await sandbox.ready()
            yield Known(blobs, WatchedEngines(sandbox), scratch)


async def test_a_document_without_digests_fails_once(known: Known) -> None:
    encrypted = await known.kept((SAMPLES / "pdf/encrypted.pdf").read_bytes())
    assert await asyncio.gather(*(known.of(encrypted) for _ in range(3))) == [NO_DIGESTS] * 3
    assert known.engines.calls == 1
    assert (await known.of(encrypted, "openpassword")).digests
    assert (await known.of(encrypted)) == NO_DIGESTS
    assert known.engines.calls == 2


async def test_documents_do_not_wait_for_one_another(known: Known) -> None:
    blobs = [
        await known.kept(pdf([[(72, 700, 12, f"document {number}")]] * 50)) for number in range(2)
    ]
    first, second, again = await asyncio.gather(*(known.of(blob) for blob in (*blobs, blobs[0])))
    assert len(first.digests) == 50
    assert first.digests != second.digests
    assert again == first
    assert (known.engines.calls, known.engines.most_running) == (2, 2)
