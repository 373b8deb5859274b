"""Texts that are sealed one by one, for rows of a database: AES-256-GCM under a text key.

    sealed    12 nonce · text · 16 GCM tag

FLOE's header would be longer than most of them. Nonces are random: NIST SP 800-38D (8.3) lets a key
seal 2**32 texts so, and a text key seals those of one publication, and what is annotated on it.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from muniment.errors import SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12


class TextKey:
    """Safe for use by several threads."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise SealBroken("a text key is 32 bytes long")
        self._cipher = AESGCM(key)

    @staticmethod
    def generate() -> bytes:
        """32 random bytes."""
        return os.urandom(KEY_BYTES)

    def seal(self, content: bytes, place: bytes) -> bytes:
        """`place` says whose text it is: it opens there alone."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """SealBroken where key, place and sealed text do not belong together."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            raise SealBroken("a sealed text does not authenticate") from None
