"""Members of a ZIP archive."""

import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from typing import BinaryIO, cast

from pyzipper import AESZipFile

from activities.inspect.archive import ENCRYPTED_FLAG, open_package
from activities.members.member import Member
from activities.members.paths import clean_path, is_clutter, refusal_of
from activities.read.code_pages import LAST_RESORT
from activities.read.text_encoding import encoding_of
from activities.sandbox.content import Content
from muniment.errors import EncryptedDocument

_UTF8_FLAG = 0x800
_AES = 99
"""In place of how the entry is packed, which stands in an extra field then (APPNOTE, annex E)."""


def zip_members(content: Content, password: str | None) -> Iterator[Member]:
    """Files only; folders and what operating systems leave behind are passed over."""
    secret = None if password is None else password.encode()
    with (
        content.open() as file,
        open_package(file, may_be_encrypted=True) as package,
        ExitStack() as opened,
    ):

        @cache
        def aes_package() -> zipfile.ZipFile:
            return cast(zipfile.ZipFile, opened.enter_context(AESZipFile(file)))

        entries = package.infolist()
        for place, (entry, name) in enumerate(zip(entries, _names(entries), strict=True)):
            if entry.is_dir() or is_clutter(clean_path(name)):
                continue
            if entry.compress_type == _AES:
                open_entry = partial(_open_aes, aes_package, place, secret)
            else:
                open_entry = partial(_open, package, entry, secret)
            yield Member(
                clean_path(name),
                open_entry,
                refusal_of(name) or _refusal(entry),
                entry.file_size,
            )


def _names(entries: list[zipfile.ZipInfo]) -> list[str]:
    """As they are where they say so, else in the encoding that all of them look like: programs
    write their system's own, and zipfile takes it for code page 437."""
    raw = [
        None if entry.flag_bits & _UTF8_FLAG else entry.filename.encode("cp437", "replace")
        for entry in entries
    ]
    encoding = encoding_of(b"\n".join(name for name in raw if name is not None)) or LAST_RESORT
    # Each alone: a name may hold what separates them, and must not become two.
    return [
        entry.filename if name is None else name.decode(encoding, "replace")
        for entry, name in zip(entries, raw, strict=True)
    ]


def _refusal(entry: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return "it is no ordinary file" if kind not in (0, stat.S_IFREG) else None


def _open_aes(package: Callable[[], zipfile.ZipFile], place: int, secret: bytes | None) -> BinaryIO:
    """Of the entry at that place, which both libraries list in the directory's order."""
    opened = package()
    return _open(opened, opened.infolist()[place], secret)


def _open(package: zipfile.ZipFile, entry: zipfile.ZipInfo, secret: bytes | None) -> BinaryIO:
    if entry.flag_bits & ENCRYPTED_FLAG and secret is None:
        raise EncryptedDocument("The archive is encrypted and needs a password.")
    try:
        return cast(BinaryIO, package.open(entry, pwd=secret))
    except RuntimeError:  # zipfile's word for a wrong password
        raise EncryptedDocument("The password does not open the archive.") from None
    except NotImplementedError:
        raise EncryptedDocument(
            "The archive is encrypted or packed in a way that cannot be read.",
            remedy="Unpack it and upload the files in it.",
        ) from None
