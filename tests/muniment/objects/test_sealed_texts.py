"""The door to sealed texts: what opens them lies outside the database, and dies with its blob."""

import shutil
import time
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
from muniment.objects.sealed_texts import LONGEST_WAIT_SECONDS, passage_place
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
        assert LONGEST_WAIT_SECONDS <= time.monotonic() - began < 2 * LONGEST_WAIT_SECONDS
        assert {type(each) for each in failed} == {KeyManagementUnavailable}
        said = await SealedTexts(BlobStore(objects, keys, wrapped)).passages(wanted)
        assert [each.text for each in said] == ["a", "a", "a"]
        await keys.close()
