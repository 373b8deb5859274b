"""Opens office documents that are encrypted with a password, new formats and old ones."""

import struct
from io import BytesIO
from typing import BinaryIO
from xml.parsers.expat import ExpatError

from msoffcrypto import OfficeFile
from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

from activities.sandbox.content import Content
from muniment.errors import EncryptedDocument

_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PASSWORD_OF_NOBODY = "VelvetSweatshop"  # noqa: S105 - published, and the same everywhere
"""What Excel encrypts write-protected workbooks with when nobody chose a password
(MS-OFFCRYPTO 2.4.2.3): such a file opens for everybody."""
_UNREADABLE = (
    FileFormatError,
    ParseError,
    ExpatError,
    struct.error,
    AttributeError,
    LookupError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What the library raises over damaged documents."""


def unlocked(content: Content, password: str | None) -> Content:
    """The content, or what it encrypts; EncryptedDocument where the password does not open it."""
    if content.head(len(_COMPOUND_FILE)) != _COMPOUND_FILE:
        return content
    with content.open() as file:
        try:
            office = OfficeFile(file)
            is_encrypted = office.is_encrypted()
        except _UNREADABLE:
            return content  # no office document, or a damaged one: detection says which
        if not is_encrypted:
            return content
        return _DecryptedContent(_decrypt(office, password))


def _decrypt(office: OfficeFile, password: str | None) -> bytes:
    decrypted = BytesIO()
    try:
        office.load_key(password=_PASSWORD_OF_NOBODY if password is None else password)
        office.decrypt(decrypted)
    except (InvalidKeyError, DecryptionError):
        raise EncryptedDocument(
            "The office document is encrypted and needs a password."
            if password is None
            else "The password does not open the office document."
        ) from None
    except _UNREADABLE:
        raise EncryptedDocument(
            "The office document is encrypted in a way that cannot be read.",
            remedy="Open it in its program, remove the password and upload it again.",
        ) from None
    return decrypted.getvalue()


class _DecryptedContent(Content):
    """Plaintext that exists in this process's memory only, and so has no path."""

    def __init__(self, plaintext: bytes) -> None:
        self._plaintext = plaintext
        self.size_bytes = len(plaintext)

    def head(self, length: int) -> bytes:
        return self._plaintext[:length]

    def tail(self, length: int) -> bytes:
        return self._plaintext[-length:]

    def read(self) -> bytes:
        return self._plaintext

    def open(self) -> BinaryIO:
        return BytesIO(self._plaintext)
