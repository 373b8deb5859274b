"""XML 1.0 as a document: by its vocabulary where it is known, else by the shape of its elements.

No entity is resolved and no DTD is read: characters come from references by number and by the names
that HTML has; any other reference stays as it is written.
"""

import html
from collections.abc import Iterator
from io import BytesIO

from docling.backend.xml.jats_backend import JatsDocumentBackend
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc.document import DoclingDocument
from lxml import etree

from activities.read.data_outline import (
    MAXIMUM_CELL_CHARACTERS,
    MAXIMUM_VALUES,
    DataOutline,
    are_tabular,
)
from activities.read.plain_text import plain_document
from activities.read.text_encoding import decode_text
from muniment.errors import LimitExceeded

MAXIMUM_DEPTH = 64
"""Elements deeper than this are read as the text of their ancestor; parsing ends at 256."""
_JATS = (
    '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD v1.2'
    ' 20190208//EN" "JATS-archivearticle1.dtd">'
)
_TITLES = frozenset({"title", "head", "heading"})
_PROSE = frozenset({"p", "para", "simpara", "ab", "l"})
_TEXTS = _PROSE | {"text", "line", "td", "th", "li", "item"}
_CELLS = frozenset({"td", "th", "entry"})
_CODE = frozenset({"programlisting", "screen", "literallayout", "code", "pre"})
_STRUCTURE = frozenset(
    (
        *("article", "book", "body", "front", "back", "part", "chapter", "section", "sec", "group"),
        *("sect1", "sect2", "sect3", "sect4", "sect5", "div", "div1", "div2", "div3", "text"),
        *("list", "itemizedlist", "orderedlist", "listitem", "item", "lg", "info"),
        *("tei", "topic", "concept", "task", "conbody", "taskbody", "refbody"),
        *("html", "root", "channel", "feed", "rss"),
    )
)
"""Elements that only hold others: their names tell a reader nothing."""


def xml_document(data: bytes) -> DoclingDocument:
    """LimitExceeded when entities are made of entities. What is not well-formed, is nested without
    end or has too many values, is read as plain text."""
    try:
        root = _root(data)
    except etree.XMLSyntaxError:
        return plain_document(decode_text(data))
    if sum(1 + len(element.attrib) for element in root.iter(etree.Element)) > MAXIMUM_VALUES:
        return plain_document(decode_text(data))
    _name_characters(root)
    if _is_article(root) and (article := _article(root)) is not None:
        return article
    writer = _Writer()
    writer.write(root, level=1, depth=1)
    return writer.outline.document()


def _root(data: bytes) -> "etree._Element":
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    tree = etree.parse(BytesIO(data), parser)
    declared = tree.docinfo.internalDTD
    for entity in declared.iterentities() if declared is not None else ():
        if "&" in (entity.content or "") or "%" in (entity.content or ""):
            raise LimitExceeded(
                "The XML declares entities that are made of entities.",
                remedy="Save it with its entities replaced by their text, and without a DTD.",
            )
    root: etree._Element = tree.getroot()
    return root


def _name_characters(root: "etree._Element") -> None:
    """Puts characters in the place of references that HTML's names for them resolve."""
    for reference in list(root.iter(etree.Entity)):
        parent, before = reference.getparent(), reference.getprevious()
        if parent is None:
            continue
        text = html.unescape(reference.text or "") + (reference.tail or "")
        if before is None:
            parent.text = (parent.text or "") + text
        else:
            before.tail = (before.tail or "") + text
        reference.tail = None
        parent.remove(reference)


def _is_article(root: "etree._Element") -> bool:
    """Whether it is an article in JATS (ANSI/NISO Z39.96), its DTD named or not."""
    parts = {_name(child) for child in root}
    return _name(root) == "article" and "front" in parts and bool(parts & {"body", "back"})


def _article(root: "etree._Element") -> DoclingDocument | None:
    """By docling's backend, which goes by the declared DTD; None when it stumbles or finds nothing."""
    content = etree.tostring(root, doctype=_JATS, encoding="UTF-8", xml_declaration=True)
    try:
        source = InputDocument(
            path_or_stream=BytesIO(content),
            format=InputFormat.XML_JATS,
            backend=JatsDocumentBackend,
            filename="document.xml",
        )
        if not source.valid:
            return None
        document: DoclingDocument = JatsDocumentBackend(source, BytesIO(content)).convert()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError):
        return None
    return document if document.texts else None


class _Writer:
    """Walks the elements in their order."""

    def __init__(self) -> None:
        self.outline = DataOutline()

    def write(self, element: "etree._Element", level: int, depth: int) -> None:
        """An element as a heading with what is below it, a paragraph, or one value."""
        name = _name(element)
        if len(element) == 0 or depth > MAXIMUM_DEPTH or _has_own_text(element):
            self._write_text(element, name)
            return
        heading, title = _heading_of(element, name)
        if heading:
            self.outline.heading(heading, level)
        if heading and title is None:
            for attribute, value in _attributes(element):
                self.outline.value(attribute, value)
        below = level + 1 if heading else level
        for run in _runs(element):
            self._write_run([child for child in run if child is not title], below, depth + 1)

    def _write_run(self, run: list["etree._Element"], level: int, depth: int) -> None:
        records = [record for child in run if (record := _record(child)) is not None]
        if len(records) == len(run) and are_tabular(records):
            self.outline.records(records)
            return
        for child in run:
            self.write(child, level, depth)

    def _write_text(self, element: "etree._Element", name: str) -> None:
        if name.lower() in _CODE:
            self.outline.code("".join(element.itertext()))
            return
        text = " ".join("".join(element.itertext()).split())
        if name.lower() in _TEXTS or len(element):
            if text:
                self.outline.paragraph(text)
            return
        if text:
            self.outline.value(name, text)
        for attribute, value in _attributes(element):
            self.outline.value(f"{name} {attribute}", value)


def _heading_of(element: "etree._Element", name: str) -> tuple[str, "etree._Element | None"]:
    """What stands over the element's parts, and the title among them that says it."""
    for child in element:
        if _name(child).lower() in _TITLES:
            text = " ".join("".join(child.itertext()).split())
            if text:
                return text, child
    return ("" if name.lower() in _STRUCTURE else name), None


def _runs(element: "etree._Element") -> Iterator[list["etree._Element"]]:
    """The children, neighbours of one name together."""
    run: list[etree._Element] = []
    for child in element:
        if run and _name(child) != _name(run[0]):
            yield run
            run = []
        run.append(child)
    if run:
        yield run


def _record(element: "etree._Element") -> dict[str, str] | None:
    """The attributes and the plain children of an element by their names; None when it holds more
    than those, or texts too long for a table."""
    record = dict(_attributes(element))
    if _has_own_text(element) or (len(element) == 0 and not record):
        return None
    for number, child in enumerate(element, start=1):
        name = _name(child)
        if len(child) or name.lower() in _PROSE | _CODE:
            return None
        key = str(number) if name.lower() in _CELLS else name
        values = [(f"{key} {attribute}", value) for attribute, value in _attributes(child)]
        for column, value in [(key, " ".join((child.text or "").split())), *values]:
            record[column] = f"{record[column]}; {value}" if column in record else value
            if len(record[column]) > MAXIMUM_CELL_CHARACTERS:
                return None
    return record


def _attributes(element: "etree._Element") -> Iterator[tuple[str, str]]:
    """Those of the vocabulary itself: `xml:lang` and the like describe no content."""
    for name, value in element.attrib.items():
        if isinstance(name, str) and isinstance(value, str) and "}" not in name:
            yield name, value


def _has_own_text(element: "etree._Element") -> bool:
    """Whether text stands between the element's parts, as in a sentence with emphasis."""
    own = (element.text, *(child.tail for child in element))
    return any(text and text.strip() for text in own)


def _name(element: "etree._Element") -> str:
    return _local(element.tag) if isinstance(element.tag, str) else ""


def _local(name: str) -> str:
    return name.rpartition("}")[2]
