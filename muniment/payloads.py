"""How values travel through Temporal: pydantic JSON, compressed, encrypted, failures included.

API, workers, replay and the codec server build the same converter from the same key file:

    data_converter(load_payload_keys(home / "keys" / "payload.key"))

An encrypted payload has the metadata `encoding: binary/encrypted`, `encryption-cipher: A256GCM`
and `encryption-key-id`; its data are a 12-byte IV, ciphertext and tag. Below the encryption lie
one byte (0 as is, 1 zlib) and the serialized payload. IVs are random: rotate a key before it
served 2**32 payloads (NIST SP 800-38D, 8.3).
"""

import logging
import os
import time
import zlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from muniment.errors import ConfigurationError, ContentTooLarge, SealBroken
from muniment.payload_keys import PayloadKeyFile, PayloadKeys, load_payload_keys

__all__ = ["EncryptionCodec", "PayloadKeys", "data_converter", "key_id_of", "load_payload_keys"]

logger = logging.getLogger(__name__)

ENCODING = b"binary/encrypted"
CIPHER = b"A256GCM"
IV_BYTES = 12
COMPRESSION_THRESHOLD_BYTES = 512
"""Smaller payloads gain too little from compression to be worth the time."""
LOOK_SECONDS = 1.0
"""So often a process that encrypts looks whether the file has another newest key."""
_AS_IS, _ZLIB = b"\x00", b"\x01"


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM over whole payloads, after zlib where that makes them smaller.

    Payloads that are not encrypted pass `decode` unchanged: what a person sends with Temporal's
    own tools is readable, and workflows verify decisions by other means. Raises
    `ConfigurationError` for a key id that is not known, `SealBroken` for a changed payload.

    With `file` a rotation needs no restart: the file is read again when it has changed, at once where
    a payload names a key that is new. A file that is another ring's is not taken.
    """

    def __init__(self, keys: PayloadKeys, file: PayloadKeyFile | None = None) -> None:
        self._file = file
        self._looked_at = time.monotonic()
        self._told: str | None = None
        self._take(keys)

    def _take(self, keys: PayloadKeys) -> None:
        self._newest = keys.newest
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.keys.items()}

    def _look(self) -> None:
        """Takes what the file holds now, if it is another; one that cannot be read changes nothing, and
        is told of once."""
        self._looked_at = time.monotonic()
        try:
            changed = self._file.changed() if self._file is not None else None
        except ConfigurationError as error:
            self._tell(error.detail)
            return
        self._told = None
        if changed is None:
            return
        # Whatever replaced or removed the key that encrypts here left its id.
        if self._newest not in changed.keys.keys() | changed.removed:
            self._tell("the file lacks the key that encrypts here, which nobody has removed")
            return
        self._take(changed)
        logger.info("the payload keys were read again", extra={"newest": self._newest})

    def _tell(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            logger.error("the payload keys cannot be read again", extra={"reason": reason})

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._look()
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
        cipher = self._cipher(key_id.decode(errors="replace"))
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

    def _cipher(self, key_id: str) -> AESGCM | None:
        if key_id not in self._ciphers:
            self._look()
        return self._ciphers.get(key_id)


def key_id_of(payload: Payload) -> str | None:
    """Of the key that encrypted the payload; None where none did."""
    if payload.metadata.get("encoding") != ENCODING:
        return None
    return payload.metadata.get("encryption-key-id", b"").decode(errors="replace")


def data_converter(keys: PayloadKeys, file: PayloadKeyFile | None = None) -> DataConverter:
    """The one converter of every client, worker and replayer."""
    return DataConverter(
        payload_converter_class=PydanticPayloadConverter,
        payload_codec=EncryptionCodec(keys, file),
        # The plain converter would leave messages and stack traces of failures readable.
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


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
