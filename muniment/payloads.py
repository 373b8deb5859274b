"""How values travel through Temporal: pydantic JSON, compressed, encrypted, failures included.

API, workers, replay and the codec server build the same converter from the same key file:

    data_converter(load_payload_keys(home / "keys" / "payload.key"))

An encrypted payload has the metadata `encoding: binary/encrypted`, `encryption-cipher: A256GCM`
and `encryption-key-id`; its data are a 12-byte IV, ciphertext and tag. Below the encryption lie
one byte (0 as is, 1 zlib) and the serialized payload. IVs are random: rotate a key before it
served 2**32 payloads (NIST SP 800-38D, 8.3).
"""

import base64
import os
import stat
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from muniment.errors import ConfigurationError, ContentTooLarge, SealBroken

ENCODING = b"binary/encrypted"
CIPHER = b"A256GCM"
KEY_BYTES = 32
IV_BYTES = 12
COMPRESSION_THRESHOLD_BYTES = 512
"""Smaller payloads gain too little from compression to be worth the time."""
_AS_IS, _ZLIB = b"\x00", b"\x01"


@dataclass(frozen=True)
class PayloadKeys:
    """The keys by id; new payloads are encrypted under `newest`, old ones under what they name."""

    newest: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.newest not in self.keys:
            raise ConfigurationError("the newest payload key is not among the payload keys")
        if any(len(key) != KEY_BYTES for key in self.keys.values()):
            raise ConfigurationError("a payload key is not 32 bytes long")


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM over whole payloads, after zlib where that makes them smaller.

    Payloads that are not encrypted pass `decode` unchanged: what a person sends with Temporal's
    own tools is readable, and workflows verify decisions by other means. Raises
    `ConfigurationError` for a key id that is not known, `SealBroken` for a changed payload.
    """

    def __init__(self, keys: PayloadKeys) -> None:
        self._newest = keys.newest
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.keys.items()}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            self._decrypt(payload) if payload.metadata.get("encoding") == ENCODING else payload
            for payload in payloads
        ]

    def decode_within(self, payloads: Sequence[Payload], most_bytes: int) -> list[Payload]:
        """As `decode`, of what callers send: a little of it inflates to a lot. Raises ContentTooLarge
        before it has come to more than so many bytes together."""
        decoded: list[Payload] = []
        left = most_bytes
        for payload in payloads:
            if payload.metadata.get("encoding") == ENCODING:
                decoded.append(self._decrypt(payload, left))
            else:
                decoded.append(payload)
            left -= decoded[-1].ByteSize()
            if left < 0:
                raise _too_large(most_bytes)
        return decoded

    def _encrypt(self, payload: Payload) -> Payload:
        iv = os.urandom(IV_BYTES)
        key_id = self._newest.encode()
        sealed = self._ciphers[self._newest].encrypt(
            iv, _packed(payload.SerializeToString()), _associated_data(key_id)
        )
        metadata = {"encoding": ENCODING, "encryption-cipher": CIPHER, "encryption-key-id": key_id}
        return Payload(metadata=metadata, data=iv + sealed)

    def _decrypt(self, payload: Payload, most_bytes: int | None = None) -> Payload:
        key_id = payload.metadata.get("encryption-key-id", b"")
        cipher = self._ciphers.get(key_id.decode(errors="replace"))
        if cipher is None:
            raise ConfigurationError(
                "a payload was encrypted under a key that the payload key file lacks",
                remedy="Give this process the same payload key file as the others, old keys too.",
            )
        iv, sealed = payload.data[:IV_BYTES], payload.data[IV_BYTES:]
        try:
            packed = cipher.decrypt(iv, sealed, _associated_data(key_id))
            payload = Payload()
            payload.ParseFromString(_unpacked(packed, most_bytes))
        except (InvalidTag, ValueError):
            raise SealBroken("a Temporal payload does not authenticate") from None
        return payload


def data_converter(keys: PayloadKeys) -> DataConverter:
    """The one converter of every client, worker and replayer."""
    return DataConverter(
        payload_converter_class=PydanticPayloadConverter,
        payload_codec=EncryptionCodec(keys),
        # The plain converter would leave messages and stack traces of failures readable.
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def load_payload_keys(path: Path) -> PayloadKeys:
    """The keys of the file at `path` (JSON, mode 0600), which is made with a first key if missing.

    Processes that start together agree on one key: the file appears whole, and only once. Raises
    `ConfigurationError` when it is damaged, unreadable, or open to other users.
    """
    try:
        if not path.exists():
            _create(path)
        if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(
                "the payload key file is open to other users than its owner",
                remedy="Take their rights away (chmod 600), and add a new key as the newest.",
            )
        contents = _Contents.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"the payload key file cannot be read or made: {error.strerror}",
            remedy="Give Muniment's user a folder of its own for the keys.",
        ) from error
    except ValidationError:
        # The cause would show key material.
        raise ConfigurationError(
            "the payload key file is damaged", remedy="Restore it from its newest backup."
        ) from None
    return PayloadKeys(contents.newest, contents.keys)


class _Contents(BaseModel):
    """What the key file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    newest: str
    keys: dict[str, Base64Bytes] = Field(repr=False)


def _create(path: Path) -> None:
    """Makes the file with a first key, unless another process is quicker."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_id = uuid4().hex[:8]
    encoded = base64.b64encode(os.urandom(KEY_BYTES))
    contents = _Contents(newest=key_id, keys={key_id: encoded})
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents.model_dump_json(indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails when the file exists: the first process wins.
        os.link(beside, path)
    except FileExistsError:
        return
    finally:
        beside.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _packed(content: bytes) -> bytes:
    if len(content) >= COMPRESSION_THRESHOLD_BYTES:
        compressed = zlib.compress(content, level=6)
        if len(compressed) < len(content):
            return _ZLIB + compressed
    return _AS_IS + content


def _unpacked(packed: bytes, most_bytes: int | None = None) -> bytes:
    """Raises ContentTooLarge where that is more than so many bytes."""
    if packed[:1] == _ZLIB and most_bytes is not None:
        inflating = zlib.decompressobj()
        # 0 would be any number of bytes.
        content = inflating.decompress(packed[1:], most_bytes + 1)
        if len(content) > most_bytes:
            raise _too_large(most_bytes)
        return content
    if packed[:1] == _ZLIB:
        return zlib.decompress(packed[1:])
    if packed[:1] == _AS_IS:
        return packed[1:]
    raise ValueError("a payload is packed in an unknown way")


def _too_large(most_bytes: int) -> ContentTooLarge:
    return ContentTooLarge(
        f"the payloads come to more than {most_bytes} bytes", remedy="Send fewer of them at a time."
    )


def _associated_data(key_id: bytes) -> bytes:
    return b"muniment/v1/payload|" + key_id
