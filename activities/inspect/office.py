"""Page counts and metadata of office packages, from their XML parts, without a parser of theirs."""

import zipfile
from typing import BinaryIO

from activities.inspect import file_type
from activities.inspect.archive import open_package
from activities.inspect.book import book_metadata
from activities.inspect.file_type import FileType
from activities.inspect.metadata import Metadata, describe
from activities.inspect.package_parts import local, local_name, part, part_if_whole
from muniment.errors import DamagedDocument, EncryptedDocument

_COUNTED: dict[str, tuple[str, str]] = {
    file_type.PPTX.media_type: ("ppt/presentation.xml", "sldId"),
    file_type.XLSX.media_type: ("xl/workbook.xml", "sheet"),
    file_type.ODP.media_type: ("content.xml", "page"),
    file_type.ODS.media_type: ("content.xml", "table"),
}
"""Where a package lists what counts as its pages: the part, and the elements' local name."""
_TEXT_PARTS = frozenset(("content.xml", "encrypted-package"))
"""What is encrypted of an OpenDocument that needs a password: its text, or from version 1.4 on the
whole document as one part. A locked macro library alone encrypts others."""


def inspect_package(file: BinaryIO, kind: FileType) -> tuple[int, Metadata]:
    """Number of pages (1 where the format has none) and metadata. EncryptedDocument where an
    OpenDocument needs a password."""
    with open_package(file) as package:
        if kind is file_type.EPUB:
            return 1, book_metadata(package)
        is_open_document = "opendocument" in kind.media_type
        if is_open_document:
            _refuse_encrypted(package)
        counted = _COUNTED.get(kind.media_type)
        count = 1 if counted is None else _count(package, *counted)
        return count, _metadata(package, "meta.xml" if is_open_document else "docProps/core.xml")


def _refuse_encrypted(package: zipfile.ZipFile) -> None:
    manifest = part_if_whole(package, "META-INF/manifest.xml")
    for entry in manifest.iter() if manifest is not None else ():
        attributes = {local(name): value for name, value in entry.attrib.items()}
        if attributes.get("full-path") in _TEXT_PARTS and any(
            local_name(child) == "encryption-data" for child in entry
        ):
            raise EncryptedDocument(
                "The OpenDocument file is encrypted, and no engine here opens its encryption.",
                remedy="Open it in its program, save it without a password and upload it again.",
            )


def _count(package: zipfile.ZipFile, name: str, element: str) -> int:
    root = part(package, name)
    if root is None:
        raise DamagedDocument("The document lacks the part that lists its pages.")
    return sum(1 for node in root.iter() if local_name(node) == element)


def _metadata(package: zipfile.ZipFile, name: str) -> Metadata:
    root = part_if_whole(package, name)
    if root is None:
        return Metadata()
    texts = {local_name(node): node.text for node in root.iter() if node.text}
    # Of OpenDocument the creator is who saved it last.
    author = texts.get("initial-creator") or texts.get("creator")
    created = texts.get("created") or texts.get("creation-date")
    return describe(texts.get("title"), [author] if author else [], created, texts.get("language"))
