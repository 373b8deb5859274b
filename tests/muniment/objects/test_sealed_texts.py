"""The door to sealed texts: what opens them lies outside the database, and dies with its blob."""

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID

import pytest

from db.models import new_id
from muniment.contracts.text_modes import PassageText
from muniment.errors import (
    KeyDestroyed,
    KeyManagementUnavailable,
    MunimentError,
    ObjectStoreUnavailable,
    SealBroken,
)
from muniment.objects import (
    BlobStore,
    FilesystemObjectStore,
    NewTextKey,
    SealedText,
    SealedTexts,
)
from muniment.objects.sealed_texts import KEYS_AT_ONCE, LONGEST_FETCH_SECONDS, passage_place
from muniment.sealing import KeyFile, RemoteKeys, TenantRecords, VaultAccess, VaultTransit
from tests.conformance.key_services import VAULT_TOKEN, serving_vault

TENANT, VERSION = new_id(), new_id()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(
        FilesystemObjectStore(tmp_path / "objects"),
        KeyFile(tmp_path / "keys" / "tenants.json"),
        FilesystemObjectStore(tmp_path / "wrapped"),
    )


def reopened(tmp_path: Path) -> SealedTexts:
    """As another process has it, which remembers nothing."""
    return SealedTexts(
        BlobStore(
            FilesystemObjectStore(tmp_path / "objects"),
            KeyFile(tmp_path / "keys" / "tenants.json"),
            FilesystemObjectStore(tmp_path / "wrapped"),
        )
    )


def sealed(made: NewTextKey, text: str, ordinal: int = 0, tenant_id: UUID = TENANT) -> SealedText:
    place = passage_place(tenant_id, VERSION, ordinal)
    content = made.key.seal(PassageText(text=text).model_dump_json().encode(), place)
    return SealedText(tenant_id, made.blob.blob_id, place, content)


async def test_texts_are_opened_in_order_by_whoever_has_the_keys(
    blobs: BlobStore, tmp_path: Path
) -> None:
    texts = SealedTexts(blobs)
    one, two = await texts.make_key(TENANT), await texts.make_key(TENANT)
    wanted = [sealed(one, "a", 0), sealed(two, "b", 1), sealed(one, "c", 2)]
    said = await reopened(tmp_path).passages(wanted)
    assert [each.text for each in said] == ["a", "b", "c"]


async def test_a_destroyed_key_leaves_its_texts_dead_and_others_alone(
    blobs: BlobStore, tmp_path: Path
) -> None:
    texts = SealedTexts(blobs)
    one, two = await texts.make_key(TENANT), await texts.make_key(TENANT)
    await blobs.destroy(TENANT, one.blob.blob_id)
    wanted = [sealed(one, "a"), sealed(two, "b")]
    dead, alive = await reopened(tmp_path).try_passages(wanted)
    assert isinstance(dead, KeyDestroyed)
    assert alive == PassageText(text="b")
    with pytest.raises(KeyDestroyed):
        await reopened(tmp_path).passages(wanted)


async def test_another_tenants_key_opens_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    made = await SealedTexts(blobs).make_key(TENANT)
    with pytest.raises(MunimentError):
        await reopened(tmp_path).passages([sealed(made, "a", tenant_id=new_id())])


async def test_a_text_moved_to_another_place_is_not_taken_for_its_own(blobs: BlobStore) -> None:
    texts = SealedTexts(blobs)
    made = await texts.make_key(TENANT)
    first, second = sealed(made, "a", 0), sealed(made, "b", 1)
    swapped = SealedText(TENANT, first.key_id, first.place, second.content)
    with pytest.raises(SealBroken):
        await texts.passages([swapped])


async def test_a_store_that_is_away_is_told_and_remembered_keys_go_on(
    blobs: BlobStore, tmp_path: Path
) -> None:
    texts = SealedTexts(blobs)
    made = await texts.make_key(TENANT)
    wanted = [sealed(made, "a")]
    remembering = reopened(tmp_path)
    await remembering.passages(wanted)
    shutil.move(tmp_path / "wrapped", tmp_path / "elsewhere")
    (tmp_path / "wrapped").symlink_to("wrapped")  # an error of the disk, whoever asks
    assert await remembering.passages(wanted) == [PassageText(text="a")]
    (failed,) = await reopened(tmp_path).try_passages(wanted)
    assert isinstance(failed, ObjectStoreUnavailable)
    (tmp_path / "wrapped").unlink()
    shutil.move(tmp_path / "elsewhere", tmp_path / "wrapped")
    assert await reopened(tmp_path).passages(wanted) == [PassageText(text="a")]


class FarStore(FilesystemObjectStore):
    """As far away as another data centre; counts what is read. What has `held_up` in its key never comes."""

    def __init__(self, root: Path, distance_seconds: float, held_up: str = "\0") -> None:
        super().__init__(root)
        self._distance_seconds = distance_seconds
        self._held_up = held_up
        self.reads = 0

    async def read(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        self.reads += 1
        await asyncio.sleep(3600 if self._held_up in key else self._distance_seconds)
        async for piece in super().read(key, offset, length):
            yield piece


async def test_many_who_ask_for_the_same_keys_have_each_fetched_once(
    blobs: BlobStore, tmp_path: Path
) -> None:
    made = [await SealedTexts(blobs).make_key(TENANT) for _ in range(10)]
    wanted = [sealed(each, "a", place) for place, each in enumerate(made)]
    far = FarStore(tmp_path / "wrapped", 0.4)
    keys = KeyFile(tmp_path / "keys" / "tenants.json")
    texts = SealedTexts(BlobStore(FilesystemObjectStore(tmp_path / "objects"), keys, far))
    await texts.passages(wanted[:1])
    reads_of_one = far.reads
    answers = await asyncio.gather(*(texts.try_passages(wanted) for _ in range(100)))
    assert {type(each) for answer in answers for each in answer} == {PassageText}
    assert far.reads == 10 * reads_of_one


async def test_who_gives_up_leaves_the_fetch_to_the_others(
    blobs: BlobStore, tmp_path: Path
) -> None:
    made = await SealedTexts(blobs).make_key(TENANT)
    keys = KeyFile(tmp_path / "keys" / "tenants.json")
    far = FarStore(tmp_path / "wrapped", 0.2)
    texts = SealedTexts(BlobStore(FilesystemObjectStore(tmp_path / "objects"), keys, far))
    first = asyncio.create_task(texts.passages([sealed(made, "a")]))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(texts.passages([sealed(made, "a")]))
    await asyncio.sleep(0.05)
    first.cancel()
    assert await second == [PassageText(text="a")]
    assert first.cancelled()


async def test_a_tenant_whose_keys_hang_holds_up_no_other(blobs: BlobStore, tmp_path: Path) -> None:
    other = new_id()
    stuck = [await SealedTexts(blobs).make_key(TENANT) for _ in range(KEYS_AT_ONCE + 1)]
    made = await SealedTexts(blobs).make_key(other)
    keys = KeyFile(tmp_path / "keys" / "tenants.json")
    far = FarStore(tmp_path / "wrapped", 0, held_up=str(TENANT))
    texts = SealedTexts(BlobStore(FilesystemObjectStore(tmp_path / "objects"), keys, far))
    waiting = asyncio.create_task(
        texts.try_passages([sealed(each, "a", place) for place, each in enumerate(stuck)])
    )
    await asyncio.sleep(0.1)
    async with asyncio.timeout(LONGEST_FETCH_SECONDS / 2):
        assert await texts.passages([sealed(made, "b", tenant_id=other)]) == [PassageText(text="b")]
    waiting.cancel()


async def test_a_text_of_another_form_is_broken_and_not_quoted(blobs: BlobStore) -> None:
    texts = SealedTexts(blobs)
    made = await texts.make_key(TENANT)
    place = passage_place(TENANT, VERSION, 0)
    content = made.key.seal(b'{"said": "the lease"}', place)
    (broken,) = await texts.try_passages([SealedText(TENANT, made.blob.blob_id, place, content)])
    assert isinstance(broken, SealBroken)
    assert "lease" not in str(broken)
    assert broken.__context__ is None


async def test_a_key_service_that_hangs_keeps_nobody_waiting_for_long(tmp_path: Path) -> None:
    with serving_vault(tmp_path) as server:
        service = VaultTransit(VaultAccess(server.url, lambda: VAULT_TOKEN, timeout_seconds=30))
        keys = RemoteKeys(service, TenantRecords(tmp_path / "tenants"))
        objects = FilesystemObjectStore(tmp_path / "objects")
        wrapped = FilesystemObjectStore(tmp_path / "wrapped")
        made = [
            await SealedTexts(BlobStore(objects, keys, wrapped)).make_key(TENANT) for _ in "abc"
        ]
        wanted = [sealed(each, "a", place) for place, each in enumerate(made)]
        began = time.monotonic()
        with server.hanging():
            failed = await SealedTexts(BlobStore(objects, keys, wrapped)).try_passages(wanted)
        assert LONGEST_FETCH_SECONDS <= time.monotonic() - began < 2 * LONGEST_FETCH_SECONDS
        assert {type(each) for each in failed} == {KeyManagementUnavailable}
        said = await SealedTexts(BlobStore(objects, keys, wrapped)).passages(wanted)
        assert [each.text for each in said] == ["a", "a", "a"]
        await keys.close()
