"""What nobody sees of a Word document: runs that are hidden, tiny, or white on the bare page."""

from collections.abc import Iterator

from docx.document import Document
from lxml import etree

from activities.read.cleaning import SMALLEST_WORD_POINTS
from activities.read.office_package import OfficePackage, UnseenText, attribute, local_name
from activities.read.painted import SAME_COLOUR

HALF_POINTS = 2
"""Word's sizes are in halves of a point (ECMA-376, part 1, 17.3.2.38)."""
DEEPEST_STYLE = 20
_TELLING = ("{*}vanish", "{*}color", "{*}sz")
_TEXTS = ("t", "delText")
_SPACES = ("tab", "br", "cr")
_FRAMES = ("{*}tbl", "{*}txbxContent")
"""What stands in these may have a ground of its own, by a style or a shape."""

_Elements = list[etree._Element]


class _Styles:
    """The styles of a document: for a paragraph or a run, what its own style says first, then what
    that one is based on."""

    def __init__(self, *roots: etree._Element) -> None:
        """What the later roots say outweighs the earlier ones."""
        self.roots = roots
        styles = [style for root in roots for style in root.iterfind("{*}style")]
        self._by_name = {attribute(style, "styleId"): style for style in styles}
        self._usual = {
            attribute(style, "type"): style
            for style in styles
            if attribute(style, "default") in ("1", "true", "on")
        }
        self.defaults = [node for root in roots for node in root.iterfind("{*}docDefaults/*")][::-1]

    def chain(self, node: etree._Element, kind: str) -> Iterator[etree._Element]:
        """Of a `paragraph` or a `character` element."""
        named = node.find("{*}pPr/{*}pStyle" if kind == "paragraph" else "{*}rPr/{*}rStyle")
        style = None if named is None else self._by_name.get(attribute(named, "val"))
        if style is None or attribute(style, "type") != kind:
            style = self._usual.get(kind)
        for _ in range(DEEPEST_STYLE):
            if style is None:
                return
            yield style
            based_on = style.find("{*}basedOn")
            style = None if based_on is None else self._by_name.get(attribute(based_on, "val"))


def take_out_unseen_runs(document: Document) -> list[str]:
    """Takes runs that nobody sees out of the body; a text for each paragraph that had some."""
    is_bare = document.element.find("{*}background") is None
    return _taken_out(document.element.body, _Styles(document.styles.element), is_bare=is_bare)


def take_out_of_word_package(package: OfficePackage) -> list[UnseenText]:
    """The same, from notes, comments and running heads too: from every part that has paragraphs,
    whatever it calls itself."""
    main = {
        target
        for name, _ in package.roots("document")
        for target in package.targets(name, "styles").values()
    }
    sheets = sorted(package.roots("styles"), key=lambda sheet: sheet[0] in main)
    styles = _Styles(*(root for _, root in sheets))
    texts = []
    for _, root in package.roots():
        is_bare = root.find("{*}background") is None
        texts += [UnseenText(text) for text in _taken_out(root, styles, is_bare=is_bare)]
    return texts


def _taken_out(root: etree._Element, styles: _Styles, *, is_bare: bool) -> list[str]:
    if not any(_tells(each) for each in (root, *styles.roots)):
        return []
    texts = []
    for paragraph in list(root.iter("{*}p")):
        unseen = list(_unseen(paragraph, styles, is_bare=is_bare))
        text = "".join(_text(run) for run in unseen)
        for run in unseen:
            run.getparent().remove(run)
        if text.strip():
            texts.append(" ".join(text.split()))
    return texts


def _tells(root: etree._Element) -> bool:
    return any(
        _is_on(node) if local_name(node) == "vanish" else _is_white(node) or _is_tiny(node)
        for node in root.iter(*_TELLING)
    )


def _text(run: etree._Element) -> str:
    kinds = ((node, local_name(node)) for node in run.iter())
    return "".join(
        " " if kind in _SPACES else node.text or ""
        for node, kind in kinds
        if kind in _SPACES or kind in _TEXTS
    )


def _unseen(
    paragraph: etree._Element, styles: _Styles, *, is_bare: bool
) -> Iterator[etree._Element]:
    around = [*styles.chain(paragraph, "paragraph"), *styles.defaults]
    on_page = is_bare and _stands_on_the_page(paragraph, around)
    for run in paragraph.iter("{*}r"):
        has_text = any(run.find(f"{{*}}{name}") is not None for name in _TEXTS)
        if not has_text or next(run.iterancestors("{*}p")) is not paragraph:
            continue
        places = [run, *styles.chain(run, "character"), *around]
        properties = [found for place in places for found in place.findall("{*}rPr")]
        if _is_unseen(properties, on_page=on_page):
            yield run


def _is_unseen(properties: _Elements, *, on_page: bool) -> bool:
    """By the innermost properties that say something."""
    vanish = _first(properties, "vanish")
    if vanish is not None and _is_on(vanish):
        return True
    size = _first(properties, "sz")
    if size is not None and _is_tiny(size):
        return True
    colour = _first(properties, "color")
    if colour is None or not on_page or not _is_white(colour):
        return False
    return all(_first(properties, name) is None for name in ("shd", "highlight", "effect"))


def _stands_on_the_page(paragraph: etree._Element, around: _Elements) -> bool:
    if any(True for _ in paragraph.iterancestors(*_FRAMES)):
        return False
    own = paragraph.find("{*}pPr")
    return not any(
        place is not None and place.find(".//{*}shd") is not None for place in (own, *around)
    )


def _first(properties: _Elements, name: str) -> etree._Element | None:
    found = (each.find(f"{{*}}{name}") for each in properties)
    return next((node for node in found if node is not None), None)


def _is_on(node: etree._Element) -> bool:
    return attribute(node, "val", "true") not in ("0", "false", "off")


def _is_white(node: etree._Element) -> bool:
    try:
        channels = bytes.fromhex(attribute(node, "val"))
    except ValueError:
        return False
    return len(channels) == 3 and min(channels) >= 255 - SAME_COLOUR


def _is_tiny(node: etree._Element) -> bool:
    value = attribute(node, "val")
    return value.isdecimal() and int(value) < HALF_POINTS * SMALLEST_WORD_POINTS
