"""Payloads: encrypted, compressed when it helps, readable under every key that is still known."""

import errno
import json
import multiprocessing
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from muniment.errors import ConfigurationError, ContentTooLarge, SealBroken
from muniment.payload_keys import PayloadKeyFile
from muniment.payloads import (
    LOOK_SECONDS,
    EncryptionCodec,
    PayloadKeys,
    data_converter,
    key_id_of,
    load_payload_keys,
)

OLD, NEW = PayloadKeys("old", {"old": b"o" * 32}), PayloadKeys("new", {"new": b"n" * 32})
BOTH = PayloadKeys("new", {**OLD.keys, **NEW.keys})
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"a secret"')


class Input(BaseModel):
    version_id: UUID
    words: tuple[str, ...]


async def test_a_contract_travels_encrypted_and_arrives_equal() -> None:
    converter = data_converter(NEW)
    sent = Input(version_id=uuid4(), words=("a secret",))
    [payload] = await converter.encode([sent])
    assert b"secret" not in payload.SerializeToString()
    assert payload.metadata["encoding"] == b"binary/encrypted"
    assert payload.metadata["encryption-key-id"] == b"new"
    assert await converter.decode([payload], [Input]) == [sent]


async def test_failures_show_nothing() -> None:
    converter = data_converter(NEW)
    failure = Failure()
    try:
        raise ApplicationError("a secret", {"detail": "a secret"}, type="DamagedDocument")
    except ApplicationError as error:
        await converter.encode_failure(error, failure)
    assert b"secret" not in failure.SerializeToString()
    assert b"test_payloads" not in failure.SerializeToString()
    decoded = await converter.decode_failure(failure)
    assert isinstance(decoded, ApplicationError)
    assert (decoded.message, decoded.type) == ("a secret", "DamagedDocument")


@given(st.binary(max_size=3000))
def test_any_payload_comes_back(data: bytes) -> None:
    codec = EncryptionCodec(NEW)
    payload = Payload(metadata={"encoding": b"binary/plain"}, data=data)
    encrypted = codec._encrypt(payload)
    assert codec._decrypt(encrypted) == payload
    assert len(encrypted.data) <= len(payload.SerializeToString()) + 29


async def test_repetitive_payloads_are_compressed() -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b'{"page": 1}' * 1000)
    [encrypted] = await EncryptionCodec(NEW).encode([payload])
    assert len(encrypted.data) < 500


async def test_after_rotation_old_payloads_open_and_new_ones_use_the_new_key() -> None:
    [before] = await EncryptionCodec(OLD).encode([PLAIN])
    rotated = EncryptionCodec(BOTH)
    assert await rotated.decode([before]) == [PLAIN]
    [after] = await rotated.encode([PLAIN])
    assert await EncryptionCodec(NEW).decode([after]) == [PLAIN]


async def test_a_key_that_is_not_there_is_a_fault_of_configuration() -> None:
    encrypted = await EncryptionCodec(OLD).encode([PLAIN])
    with pytest.raises(ConfigurationError, match="key file lacks"):
        await EncryptionCodec(NEW).decode(encrypted)


async def test_a_changed_payload_is_refused() -> None:
    [encrypted] = await EncryptionCodec(BOTH).encode([PLAIN])
    for position in range(len(encrypted.data)):
        changed = Payload()
        changed.CopyFrom(encrypted)
        data = bytearray(encrypted.data)
        data[position] ^= 1
        changed.data = bytes(data)
        with pytest.raises(SealBroken):
            await EncryptionCodec(BOTH).decode([changed])
    cut = Payload(metadata=encrypted.metadata, data=b"")
    with pytest.raises(SealBroken):
        await EncryptionCodec(BOTH).decode([cut])


async def test_what_a_person_sent_plainly_passes() -> None:
    assert await EncryptionCodec(NEW).decode([PLAIN]) == [PLAIN]


def test_the_key_file_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "payload.key"
    keys = load_payload_keys(path)
    assert load_payload_keys(path) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["payload.key"]
    assert keys.keys[keys.newest].hex() not in repr(keys)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="other users"):
        load_payload_keys(path)


def test_a_key_file_with_several_keys_is_read(tmp_path: Path) -> None:
    path = tmp_path / "payload.key"
    load_payload_keys(path)
    contents = json.loads(path.read_text())
    contents["keys"]["next"] = "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
    contents["newest"] = "next"
    path.write_text(json.dumps(contents))
    keys = load_payload_keys(path)
    assert keys.newest == "next"
    assert keys.keys["next"] == b"n" * 32
    assert len(keys.keys) == 2


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"newest": "a", "keys": {"a": "c2hvcnQ="}}', '{"newest": "b", "keys": {}}'],
)
def test_a_damaged_key_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "payload.key"
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(ConfigurationError):
        load_payload_keys(path)


def test_a_process_that_comes_second_takes_the_first_ones_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "payload.key"
    keys = load_payload_keys(path)
    # As it looks to a process that had looked before the first one made the file.
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert load_payload_keys(path) == keys
    assert [entry.name for entry in tmp_path.iterdir()] == ["payload.key"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "payload.key"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        loaded = pool.map(load_payload_keys, [path] * 8, chunksize=1)
    assert all(keys == loaded[0] for keys in loaded)


async def test_processes_that_run_see_a_rotation_without_a_restart(tmp_path: Path) -> None:
    """The one that encrypts within a second, the one that is shown something new at once."""
    path = tmp_path / "payload.key"
    keys = load_payload_keys(path)
    writer, reader = (EncryptionCodec(keys, PayloadKeyFile(path)) for _ in range(2))
    before = await writer.encode([PLAIN])
    newest = PayloadKeyFile(path).rotate(datetime.now(UTC))
    writer._looked_at -= LOOK_SECONDS
    [after] = await writer.encode([PLAIN])
    assert key_id_of(after) == newest != key_id_of(before[0])
    for each in (*before, after):
        assert await reader.decode([each]) == [PLAIN]
    assert load_payload_keys(path).replaced_at.keys() == {keys.newest}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_removed_key_opens_nothing_and_the_newest_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "payload.key"
    keys = load_payload_keys(path)
    before = await EncryptionCodec(keys).encode([PLAIN])
    file = PayloadKeyFile(path)
    newest = file.rotate(datetime.now(UTC))
    file.remove(keys.newest)
    with pytest.raises(ConfigurationError, match="key file lacks"):
        await EncryptionCodec(load_payload_keys(path)).decode(before)
    with pytest.raises(ConfigurationError, match="newest"):
        file.remove(newest)


async def test_a_file_that_is_damaged_later_leaves_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "payload.key"
    codec = EncryptionCodec(load_payload_keys(path), PayloadKeyFile(path))
    path.write_text("{")
    codec._looked_at -= LOOK_SECONDS
    assert await codec.decode(await codec.encode([PLAIN])) == [PLAIN]


async def look_again(codec: EncryptionCodec) -> str | None:
    """The key that encrypts, a second later."""
    codec._looked_at -= LOOK_SECONDS
    return key_id_of((await codec.encode([PLAIN]))[0])


async def test_a_folder_that_is_away_for_a_while_gets_no_other_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys" / "payload.key"
    keys = load_payload_keys(path)
    codec = EncryptionCodec(keys, PayloadKeyFile(path))
    path.parent.rename(tmp_path / "away")
    for _ in range(3):
        assert await look_again(codec) == keys.newest
    assert not path.parent.exists()
    assert [record.__dict__["reason"] for record in caplog.records] == [
        "the payload key file is not there"
    ]
    # A process that starts meanwhile makes a ring of its own: it is not this one's.
    load_payload_keys(path)
    assert await look_again(codec) == keys.newest
    assert "nobody has removed" in caplog.records[-1].__dict__["reason"]
    path.parent.rename(tmp_path / "wrong")
    (tmp_path / "away").rename(path.parent)
    newest = PayloadKeyFile(path).rotate(datetime.now(UTC))
    assert await look_again(codec) == newest


async def test_a_rotation_is_seen_though_the_file_could_not_be_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "payload.key"
    codec = EncryptionCodec(keys := load_payload_keys(path), PayloadKeyFile(path))
    newest = PayloadKeyFile(path).rotate(datetime.now(UTC))

    def refused(_: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as failing:
        failing.setattr(Path, "read_bytes", refused)
        assert await look_again(codec) == keys.newest
    assert await look_again(codec) == newest


async def test_who_was_away_while_its_key_was_retired_takes_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "payload.key"
    codec = EncryptionCodec(keys := load_payload_keys(path), PayloadKeyFile(path))
    newest = PayloadKeyFile(path).rotate(datetime.now(UTC))
    for _ in range(2):  # of two who retire at once, the second finds it gone
        PayloadKeyFile(path).remove(keys.newest)
    newest = PayloadKeyFile(path).rotate(datetime.now(UTC))
    assert load_payload_keys(path).removed == {keys.newest}
    assert await look_again(codec) == newest


def test_a_ring_of_one_is_read_by_the_releases_before(tmp_path: Path) -> None:
    path = tmp_path / "payload.key"
    load_payload_keys(path)
    assert json.loads(path.read_text()).keys() == {"format", "newest", "keys"}


def test_two_who_rotate_at_once_lose_no_key(tmp_path: Path) -> None:
    path = tmp_path / "payload.key"
    first = load_payload_keys(path).newest
    with ThreadPoolExecutor(4) as threads:
        rotated = list(
            threads.map(lambda _: PayloadKeyFile(path).rotate(datetime.now(UTC)), range(8))
        )
    keys = load_payload_keys(path)
    assert keys.keys.keys() == {first, *rotated}
    assert keys.newest in rotated
    assert keys.replaced_at.keys() == keys.keys.keys() - {keys.newest}


async def test_what_callers_send_is_opened_no_further_than_they_may_have() -> None:
    codec = EncryptionCodec(NEW)
    long = Payload(data=b"a" * 10_000)
    [sealed] = await codec.encode([long])
    whole = 3 * long.ByteSize()
    assert codec.decode_within([sealed, long, sealed], whole) == [long] * 3
    for payloads in ([sealed] * 3, [sealed, sealed, long], [long] * 3):
        with pytest.raises(ContentTooLarge):
            codec.decode_within(payloads, whole - 1)
