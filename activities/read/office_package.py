"""The XML of office documents, which are ZIP archives of it: read, changed, and put together anew.

Names are compared without their namespaces: the older and the stricter standard have different
ones, and not every library that reads the result heeds them.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from lxml import etree

from muniment.errors import DamagedDocument, LimitExceeded

MAXIMUM_XML_BYTES = 256 * 2**20
"""Of all parts together, unpacked; a tree of one part takes several times its size."""
_RELATIONS = (".rels", "[Content_Types].xml")
_KEPT = (".xml", ".rels")
_MIMETYPE = "mimetype"
"""Of OpenDocument packages, whose first entry it has to be, as it is (ODF 1.3, part 2, 3.3)."""


@dataclass(frozen=True, slots=True)
class UnseenText:
    """A text that nobody sees, and the sheet or slide it belongs to where the format has such."""

    text: str
    page: int | None = None


class OfficePackage:
    """The parts of a package that hold XML; pictures and the like are left out.

    Parts that are asked for are written back as they were understood: a library that reads the
    package then cannot find in a part what was not looked at, however damaged the part was.
    """

    def __init__(self, data: bytes) -> None:
        self._parts: dict[str, bytes] = {}
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if _is_kept(entry.filename)]
            if sum(entry.file_size for entry in entries) > MAXIMUM_XML_BYTES:
                raise LimitExceeded(
                    f"The document's XML has more than {MAXIMUM_XML_BYTES // 2**20} MiB.",
                    remedy="Split the document.",
                )
            for entry in entries:
                self._parts[entry.filename] = archive.read(entry)

    @property
    def names(self) -> list[str]:
        return list(self._parts)

    def roots(self, *kinds: str) -> Iterator[tuple[str, etree._Element]]:
        """Every part whose root has one of these names, or any name where none is given; what was
        changed is kept when the next one is asked for."""
        for name in self.names:
            root = None if name.endswith(_RELATIONS) else self.root(name)
            if root is None or (kinds and local_name(root) not in kinds):
                continue
            yield name, root
            self.keep(name, root)

    def root(self, name: str) -> etree._Element | None:
        """None for a part that is not there or is no XML at all."""
        if name not in self._parts or name == _MIMETYPE:
            return None
        parser = etree.XMLParser(
            recover=True,
            resolve_entities=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            root = etree.fromstring(self._parts[name], parser)
        except etree.XMLSyntaxError:
            root = None
        if root is not None and root.getroottree().docinfo.internalDTD is not None:
            raise DamagedDocument("A part of the document declares a document type.")
        return root

    def keep(self, name: str, root: etree._Element) -> None:
        self._parts[name] = etree.tostring(
            root, xml_declaration=True, encoding="UTF-8", standalone=True
        )

    def targets(self, name: str, kind: str = "") -> dict[str, str]:
        """The parts that this one relates to, by the identifiers it has for them; the package itself
        where the name is empty. Of a kind, where one is given (`styles`)."""
        folder, base = posixpath.split(name)
        related = self.root(posixpath.join(folder, "_rels", f"{base}.rels"))
        found = {}
        for node in () if related is None else related.iter("{*}Relationship"):
            target = posixpath.normpath(posixpath.join("/", folder, attribute(node, "Target")))
            if attribute(node, "Type").endswith(f"/{kind}" if kind else ""):
                found[attribute(node, "Id")] = target.lstrip("/")
        return found

    def to_bytes(self) -> bytes:
        made = BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in sorted(self._parts, key=lambda name: name != _MIMETYPE):
                kind = zipfile.ZIP_STORED if name == _MIMETYPE else zipfile.ZIP_DEFLATED
                archive.writestr(name, self._parts[name], compress_type=kind)
        return made.getvalue()


def local_name(node: etree._Element) -> str:
    """Without the namespace; empty for comments and the like."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def attribute(node: etree._Element, name: str, default: str = "") -> str:
    """The attribute of this name, in whatever namespace."""
    return next(attributes(node, name), default)


def attributes(node: etree._Element, name: str) -> Iterator[str]:
    """All of this name, of several namespaces."""
    for key, value in node.attrib.items():
        if str(key).rpartition("}")[2] == name:
            yield str(value)


def _is_kept(name: str) -> bool:
    return name == _MIMETYPE or name.lower().endswith(_KEPT)
