"""Title, authors, date and language of books (EPUB), from the package document (EPUB 3.3, 5.5)."""

import zipfile
from xml.etree.ElementTree import Element

from activities.inspect.metadata import Metadata, describe
from activities.inspect.package_parts import local, local_name, part_if_whole

_TERMS = "{http://purl.org/dc/elements/1.1/}"


def book_metadata(package: zipfile.ZipFile) -> Metadata:
    container = part_if_whole(package, "META-INF/container.xml")
    names = [
        node.get("full-path", "")
        for node in (container.iter() if container is not None else ())
        if local_name(node) == "rootfile"
    ]
    root = part_if_whole(package, names[0]) if names else None
    if root is None:
        return Metadata()
    return describe(
        next(iter(_texts(root, "title")), None),
        _texts(root, "creator"),
        next(iter(_texts(root, "date")), None),
        next(iter(_texts(root, "language")), None),
    )


def _texts(root: Element, term: str) -> list[str]:
    """What the term is given, the time of a later change left out."""
    return [node.text for node in root.iter(_TERMS + term) if node.text and not _is_of_change(node)]


def _is_of_change(node: Element) -> bool:
    return any(local(name) == "event" and "modif" in value for name, value in node.attrib.items())
