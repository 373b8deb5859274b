"""FLOE: Fast Lightweight Online Encryption, as C2SP specifies it (c2sp.org/FLOE).

AES-256-GCM in segments, keys from HKDF-Expand-SHA-384. It commits to its key, opens any segment
by itself, and tells every truncation, reordering, extension or change.

    header    10 parameters · 32 IV · 32 header tag                          74 bytes
    segment   4 length (0xFFFFFFFF, in the last its own) · 12 IV · text · 16 GCM tag

With `PRODUCTION` a segment holds 64 KiB of plaintext and takes 65,568 bytes, so plaintext offset
o lies in segment o // 65,536, which starts at 74 + 65,568 · (o // 65,536). Our sealer leaves a
last segment empty only when the whole plaintext is empty: the size decides the layout.
"""

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from muniment.errors import SealBroken

KEY_BYTES = 32
"""AEAD_KEY_LEN: the length of a data key."""

AEAD_ID_AES_256_GCM = 0
KDF_ID_HKDF_EXPAND_SHA_384 = 0
KDF_KEY_BYTES = 48
FLOE_IV_BYTES = 32
HEADER_TAG_BYTES = 32
PARAMETER_BYTES = 10
HEADER_BYTES = PARAMETER_BYTES + FLOE_IV_BYTES + HEADER_TAG_BYTES

LENGTH_BYTES = 4
AEAD_IV_BYTES = 12
AEAD_TAG_BYTES = 16
BODY_START = LENGTH_BYTES + AEAD_IV_BYTES
SEGMENT_OVERHEAD_BYTES = LENGTH_BYTES + AEAD_IV_BYTES + AEAD_TAG_BYTES
NOT_LAST = 0xFFFFFFFF
"""The length field of every segment but the last."""
MAX_SEGMENTS = 2**40

PURPOSE_HEADER_TAG = b"HEADER_TAG:"
PURPOSE_MESSAGE_KEY = b"MESSAGE_KEY:"
PURPOSE_SEGMENT_KEY = b"DEK:"

RandomBytes = Callable[[int], bytes]
"""Gives that many random bytes; tests that know the answer bring their own."""


@dataclass(frozen=True)
class FloeParameters:
    """The one free parameter of FLOE, and the rotation mask that its AEAD prescribes.

    `segment_bytes` counts the sealed segment. 2**`rotation_bits` segments share an AES key: 20
    by the specification; only known-answer tests use another.
    """

    segment_bytes: int = 65_568
    rotation_bits: int = 20

    def __post_init__(self) -> None:
        if not SEGMENT_OVERHEAD_BYTES < self.segment_bytes < NOT_LAST:
            raise ValueError("segment_bytes must exceed 32 and fit its length field")

    @property
    def plaintext_bytes(self) -> int:
        """How much plaintext a full segment holds."""
        return self.segment_bytes - SEGMENT_OVERHEAD_BYTES

    def encode(self) -> bytes:
        """PARAM_ENCODE of the specification."""
        return (
            AEAD_ID_AES_256_GCM.to_bytes(1, "big")
            + KDF_ID_HKDF_EXPAND_SHA_384.to_bytes(1, "big")
            + self.segment_bytes.to_bytes(4, "big")
            + FLOE_IV_BYTES.to_bytes(4, "big")
        )

    def segment_count(self, plaintext_size: int) -> int:
        """How many segments a plaintext of so many bytes takes; at least one."""
        return max(1, -(-plaintext_size // self.plaintext_bytes))

    def sealed_size(self, plaintext_size: int) -> int:
        """The length of header and segments for a plaintext of so many bytes."""
        overhead = SEGMENT_OVERHEAD_BYTES * self.segment_count(plaintext_size)
        return HEADER_BYTES + overhead + plaintext_size

    def plaintext_size(self, sealed_size: int) -> int:
        """The inverse of `sealed_size`; raises `SealBroken` for a length that no sealing yields."""
        body = sealed_size - HEADER_BYTES
        segments = -(-body // self.segment_bytes)
        size = body - SEGMENT_OVERHEAD_BYTES * segments
        if body < SEGMENT_OVERHEAD_BYTES or size < 0 or self.sealed_size(size) != sealed_size:
            raise SealBroken("a sealed object has a length that cannot be; it was cut or extended")
        return size

    def segment_offset(self, position: int) -> int:
        """Where segment `position` starts in the sealed object."""
        return HEADER_BYTES + position * self.segment_bytes


PRODUCTION = FloeParameters()
"""What every blob of Muniment is sealed with: 64 KiB of plaintext a segment."""


class _Derivation:
    """FLOE_KDF with its parameters, IV and associated data bound."""

    def __init__(self, parameters: FloeParameters, iv: bytes, associated_data: bytes) -> None:
        self._rotation_bits = parameters.rotation_bits
        self._prefix = parameters.encode() + iv
        self._associated_data = associated_data
        self._newest: tuple[int, AESGCM] | None = None

    def derive(self, key: bytes, purpose: bytes, length: int) -> bytes:
        info = self._prefix + purpose + self._associated_data
        return HKDFExpand(algorithm=SHA384(), length=length, info=info).derive(key)

    def segment_cipher(self, message_key: bytes, position: int) -> AESGCM:
        """The cipher of segment `position`; the last one derived is remembered."""
        epoch = position >> self._rotation_bits
        newest = self._newest
        if newest is None or newest[0] != epoch:
            first_of_epoch = (epoch << self._rotation_bits).to_bytes(8, "big")
            key = self.derive(message_key, PURPOSE_SEGMENT_KEY + first_of_epoch, KEY_BYTES)
            # One assignment of a pair, so that threads that share an opener see no mixture.
            newest = self._newest = (epoch, AESGCM(key))
        return newest[1]


def _segment_associated_data(position: int, *, is_last: bool) -> bytes:
    return position.to_bytes(8, "big") + (b"\x01" if is_last else b"\x00")


class Sealer:
    """Seals one plaintext as it streams by: `header`, then `seal` as often as needed, `finish`.

    Holds back at most one segment, because only the end tells which one is the last. `key` is
    32 random bytes used for this one plaintext. Not safe for use by two threads at once.
    """

    def __init__(
        self,
        key: bytes,
        associated_data: bytes,
        parameters: FloeParameters = PRODUCTION,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("a FLOE key is 32 bytes long")
        self._parameters = parameters
        self._random_bytes = random_bytes
        iv = random_bytes(FLOE_IV_BYTES)
        self._derivation = _Derivation(parameters, iv, associated_data)
        tag = self._derivation.derive(key, PURPOSE_HEADER_TAG, HEADER_TAG_BYTES)
        self._message_key = self._derivation.derive(key, PURPOSE_MESSAGE_KEY, KDF_KEY_BYTES)
        self.header = parameters.encode() + iv + tag
        """The 74 bytes that precede the segments."""
        self._held = b""
        # Sealed into and copied from: fresh buffers of a mebibyte would cost more than sealing.
        self._scratch = bytearray(parameters.segment_bytes)
        self._position = 0
        self._finished = False

    def seal(self, plaintext: bytes) -> bytes:
        """The segments that `plaintext` completes: zero or more, none of them the last."""
        self._refuse_if_finished()
        size = self._parameters.plaintext_bytes
        missing = size - len(self._held)
        if len(plaintext) <= missing:
            self._held += plaintext
            return b""
        content = memoryview(plaintext)
        # Of what remains, at least one byte is kept for the segment that may be the last.
        held_from = missing + (len(content) - missing - 1) // size * size
        sealed = self._room_for(1 + (held_from - missing) // size)
        step = self._parameters.segment_bytes
        self._segment(sealed[:step], self._held + content[:missing], is_last=False)
        for into, start in enumerate(range(missing, held_from, size), start=1):
            segment = sealed[into * step : (into + 1) * step]
            self._segment(segment, content[start : start + size], is_last=False)
        self._held = bytes(content[held_from:])
        return bytes(sealed)

    def finish(self) -> bytes:
        """The last segment. Nothing can be sealed afterwards."""
        self._refuse_if_finished()
        self._finished = True
        sealed = self._room_for(1)[: len(self._held) + SEGMENT_OVERHEAD_BYTES]
        self._segment(sealed, self._held, is_last=True)
        return bytes(sealed)

    def _room_for(self, segments: int) -> memoryview:
        needed = segments * self._parameters.segment_bytes
        if len(self._scratch) < needed:
            self._scratch = bytearray(needed)
        return memoryview(self._scratch)[:needed]

    def _refuse_if_finished(self) -> None:
        if self._finished:
            raise ValueError("this sealer has sealed its last segment")

    def _segment(self, into: memoryview, plaintext: bytes | memoryview, *, is_last: bool) -> None:
        position = self._position
        if position >= MAX_SEGMENTS - (0 if is_last else 1):
            raise ValueError("FLOE seals at most 2**40 segments")
        self._position += 1
        length = len(into) if is_last else NOT_LAST
        iv = self._random_bytes(AEAD_IV_BYTES)
        into[:LENGTH_BYTES] = length.to_bytes(LENGTH_BYTES, "big")
        into[LENGTH_BYTES:BODY_START] = iv
        cipher = self._derivation.segment_cipher(self._message_key, position)
        associated_data = _segment_associated_data(position, is_last=is_last)
        cipher.encrypt_into(iv, plaintext, associated_data, into[BODY_START:])


class Opener:
    """Opens segments of one sealed object, in any order and from any thread.

    Raises `SealBroken` when key, associated data, parameters and header do not belong together.
    """

    def __init__(
        self,
        key: bytes,
        associated_data: bytes,
        header: bytes,
        parameters: FloeParameters = PRODUCTION,
    ) -> None:
        if len(header) != HEADER_BYTES or header[:PARAMETER_BYTES] != parameters.encode():
            raise SealBroken("the header of a sealed object is cut short or of another kind")
        iv, tag = header[PARAMETER_BYTES:-HEADER_TAG_BYTES], header[-HEADER_TAG_BYTES:]
        self._parameters = parameters
        self._derivation = _Derivation(parameters, iv, associated_data)
        expected = self._derivation.derive(key, PURPOSE_HEADER_TAG, HEADER_TAG_BYTES)
        if not hmac.compare_digest(expected, tag):
            raise SealBroken("the key does not belong to this sealed object, or its header changed")
        self._message_key = self._derivation.derive(key, PURPOSE_MESSAGE_KEY, KDF_KEY_BYTES)

    def open_segment(self, segment: bytes | memoryview, position: int, *, is_last: bool) -> bytes:
        """The plaintext of segment `position`; `SealBroken` when it is not exactly that one.

        `is_last` comes from the size that the caller trusts, never from the segment itself.
        """
        plaintext = bytearray(max(0, len(segment) - SEGMENT_OVERHEAD_BYTES))
        self._open_into(memoryview(plaintext), segment, position, is_last=is_last)
        return bytes(plaintext)

    def open_segments(self, sealed: bytes, first: int, last: int, into: bytearray) -> memoryview:
        """The plaintext of whole neighbouring segments, `first` being the position of the first.

        `last` is the position of the object's last segment. The plaintext lies at the start of
        `into`, which has room for it, until that is used again. Raises as `open_segment` does.
        """
        view = memoryview(sealed)
        size, room = self._parameters.segment_bytes, self._parameters.plaintext_bytes
        segments = -(-len(view) // size)
        plaintext = memoryview(into)[: max(0, len(view) - segments * SEGMENT_OVERHEAD_BYTES)]
        for index in range(segments):
            segment = view[index * size : (index + 1) * size]
            text = plaintext[index * room : (index + 1) * room]
            self._open_into(text, segment, first + index, is_last=first + index == last)
        return plaintext

    def _open_into(
        self, into: memoryview, segment: bytes | memoryview, position: int, *, is_last: bool
    ) -> None:
        length = int.from_bytes(segment[:LENGTH_BYTES], "big")
        full = self._parameters.segment_bytes
        if is_last:
            plausible = SEGMENT_OVERHEAD_BYTES <= len(segment) <= full and length == len(segment)
        else:
            plausible = len(segment) == full and length == NOT_LAST
        if not plausible:
            raise SealBroken(f"segment {position} is cut, extended, or not the one expected here")
        cipher = self._derivation.segment_cipher(self._message_key, position)
        associated_data = _segment_associated_data(position, is_last=is_last)
        try:
            cipher.decrypt_into(
                segment[LENGTH_BYTES:BODY_START], segment[BODY_START:], associated_data, into
            )
        except InvalidTag:
            raise SealBroken(f"segment {position} does not authenticate") from None
