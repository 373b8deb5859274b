"""XML parts of office packages and books, read within bounds."""

import zipfile
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from activities.inspect.archive import UNREADABLE
from muniment.errors import DamagedDocument, LimitExceeded

MAXIMUM_PART_BYTES = 64 * 1024**2


def part(package: zipfile.ZipFile, name: str) -> Element | None:
    """The part's root; None where the package has no such part. DamagedDocument or LimitExceeded
    where it cannot be read."""
    try:
        if package.getinfo(name).file_size > MAXIMUM_PART_BYTES:
            raise LimitExceeded("A part of the package is larger than 64 MiB.")
        root: Element = fromstring(package.read(name))
        return root
    except KeyError:
        return None
    except (ParseError, DefusedXmlException, *UNREADABLE) as error:
        raise DamagedDocument("A part of the package is damaged.") from error


def part_if_whole(package: zipfile.ZipFile, name: str) -> Element | None:
    """The same of a part that a document is read without: None where it is damaged."""
    try:
        return part(package, name)
    except DamagedDocument:
        return None


def local_name(node: Element) -> str:
    return local(str(node.tag))


def local(name: str) -> str:
    """The name of an element or attribute without its namespace."""
    return name.rpartition("}")[2]
