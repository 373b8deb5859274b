"""Page counts and metadata of office packages, from their XML parts, without a parser of theirs."""

import zipfile
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from activities.inspect import file_type
from activities.inspect.archive import UNREADABLE, open_package
from activities.inspect.file_type import FileType
from activities.inspect.metadata import Metadata, describe
from muniment.errors import DamagedDocument, LimitExceeded

MAXIMUM_PART_BYTES = 64 * 1024**2

_COUNTED: dict[str, tuple[str, str]] = {
    file_type.PPTX.media_type: ("ppt/presentation.xml", "sldId"),
    file_type.XLSX.media_type: ("xl/workbook.xml", "sheet"),
    file_type.ODP.media_type: ("content.xml", "page"),
    file_type.ODS.media_type: ("content.xml", "table"),
}
"""Where a package lists what counts as its pages: the part, and the elements' local name."""


def inspect_package(file: BinaryIO, kind: FileType) -> tuple[int, Metadata]:
    """Number of pages (1 where the format has none) and metadata."""
    with open_package(file) as package:
        counted = _COUNTED.get(kind.media_type)
        count = 1 if counted is None else _count(package, *counted)
        core = "meta.xml" if "opendocument" in kind.media_type else "docProps/core.xml"
        return count, _metadata(package, core)


def _count(package: zipfile.ZipFile, part: str, element: str) -> int:
    root = _parse(package, part)
    if root is None:
        raise DamagedDocument("The document lacks the part that lists its pages.")
    return sum(1 for node in root.iter() if _local_name(node) == element)


def _metadata(package: zipfile.ZipFile, part: str) -> Metadata:
    try:
        root = _parse(package, part)
    except DamagedDocument:
        root = None  # broken metadata does not make a document unreadable
    if root is None:
        return Metadata()
    texts = {_local_name(node): node.text for node in root.iter() if node.text}
    author = texts.get("creator") or texts.get("initial-creator")
    created = texts.get("created") or texts.get("creation-date")
    return describe(texts.get("title"), [author] if author else [], created)


def _parse(package: zipfile.ZipFile, part: str) -> Element | None:
    try:
        if package.getinfo(part).file_size > MAXIMUM_PART_BYTES:
            raise LimitExceeded("A part of the package is larger than 64 MiB.")
        root: Element = fromstring(package.read(part))
        return root
    except KeyError:
        return None
    except (ParseError, DefusedXmlException, *UNREADABLE) as error:
        raise DamagedDocument("A part of the package is damaged.") from error


def _local_name(node: Element) -> str:
    return str(node.tag).rpartition("}")[2]
