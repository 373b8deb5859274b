"""What nobody sees of an OpenDocument text: by its styles hidden, tiny, or white on the bare page;
hidden sections, and paragraphs and texts that a condition hides."""

import re
from collections.abc import Iterator, Mapping

from lxml import etree

from activities.read.cleaning import SMALLEST_WORD_POINTS
from activities.read.office_package import OfficePackage, UnseenText, attribute, local_name
from activities.read.painted import SAME_COLOUR

CONTENT, STYLES = "content.xml", "styles.xml"
DEEPEST_STYLE = 20
_LENGTH = re.compile(r"\s*([\d.]+)\s*(pt|in|cm|mm|pc|px|%)\s*")
_POINTS = {"pt": 1.0, "in": 72.0, "cm": 72 / 2.54, "mm": 72 / 25.4, "pc": 12.0, "px": 0.75}
_TINY_PERCENT = 10.0
"""Of the size around it, which is some ten points mostly."""
_COLOUR = re.compile(r"#([0-9a-fA-F]{6})")
_OF_TEXT = ("display", "color", "background-color", "font-size", "use-window-font-color")
_FRAMES = ("table", "text-box", "custom-shape")
"""What stands in these may have a ground of its own."""
_ANYWHERE, _GONE, _GROUND = "anywhere", "gone", "ground"

_Look = Mapping[str, str]
"""What is declared of a text by the names of the properties; of what is around it: whether it is in
no paragraph (`anywhere`), hidden as a whole (`gone`), or has a ground (`ground`)."""


def take_out_unseen_open_text(content: etree._Element, styles: etree._Element | None) -> list[str]:
    """Takes out of the document and of its running heads what nobody sees; a text for each paragraph
    that had some."""
    texts: list[str] = []
    for root in (content, styles):
        if root is not None and any(_tells(each) for each in (root, styles) if each is not None):
            taker = _Taker(_Styles(root, styles), is_bare=styles is None or _is_bare(styles))
            taker.visit(root, {_ANYWHERE: "yes"}, [])
            texts += taker.texts
    return texts


def take_out_of_open_text_package(package: OfficePackage) -> list[UnseenText]:
    content, styles = package.root(CONTENT), package.root(STYLES)
    if content is None:
        return []
    texts = take_out_unseen_open_text(content, styles)
    package.keep(CONTENT, content)
    if styles is not None:
        package.keep(STYLES, styles)
    return [UnseenText(text) for text in texts]


class _Styles:
    """A part's own styles and those of the whole document."""

    def __init__(self, root: etree._Element, common: etree._Element | None) -> None:
        self._by_name: dict[tuple[str, str], etree._Element] = {}
        self._usual: dict[str, etree._Element] = {}
        for source in (common, root):
            for style in () if source is None else source.iter("{*}style", "{*}default-style"):
                family = attribute(style, "family")
                if local_name(style) == "default-style":
                    self._usual[family] = style
                else:
                    self._by_name[family, attribute(style, "name")] = style
        self._known: dict[tuple[str, str], _Look] = {}

    def declared(self, family: str, name: str) -> _Look:
        """By the style of that name and those that it is based on, paragraphs by the usual one too."""
        key = (family, name)
        if key not in self._known:
            look: dict[str, str] = {}
            for style in reversed([*self._chain(family, name)]):
                look |= _properties(style)
            self._known[key] = look
        return self._known[key]

    def _chain(self, family: str, name: str) -> Iterator[etree._Element]:
        for _ in range(DEEPEST_STYLE):
            style = self._by_name.get((family, name))
            if style is None:
                break
            yield style
            name = attribute(style, "parent-style-name")
        if family == "paragraph" and family in self._usual:
            yield self._usual[family]


def _properties(style: etree._Element) -> dict[str, str]:
    look: dict[str, str] = {}
    for properties in style:
        if local_name(properties) == "text-properties":
            given = {name: attribute(properties, name) for name in _OF_TEXT}
            look |= {name: value for name, value in given.items() if value}
            if given["color"] and not given["use-window-font-color"]:
                look["use-window-font-color"] = "false"
        elif attribute(properties, "background-color", "transparent") != "transparent":
            look[_GROUND] = "yes"
    return look


class _Taker:
    def __init__(self, styles: _Styles, *, is_bare: bool) -> None:
        self.texts: list[str] = []
        self._styles = styles
        self._is_bare = is_bare

    def visit(self, node: etree._Element, around: _Look, pieces: list[str]) -> None:
        kind = local_name(node)
        if not kind or kind == "tracked-changes":
            return
        look = self._look(node, kind, around)
        is_block = kind in ("p", "h")
        own: list[str] = [] if is_block else pieces
        is_unseen = _ANYWHERE not in look and self._is_unseen(look)
        if is_unseen and node.text:
            own.append(node.text)
            node.text = None
        for child in list(node):
            self.visit(child, look, own)
            if is_unseen and child.tail:
                own.append(child.tail)
                child.tail = None
            if is_unseen and local_name(child) in ("s", "tab", "line-break"):
                own.append(" ")
                node.remove(child)
        text = " ".join("".join(own).split())
        if is_block and text:
            self.texts.append(text)

    def _look(self, node: etree._Element, kind: str, around: _Look) -> _Look:
        look = dict(around)
        if kind in ("p", "h"):
            kept = {name: around[name] for name in (_GONE, _GROUND) if name in around}
            look = {**kept, **self._styles.declared("paragraph", attribute(node, "style-name"))}
            is_told = any(_is_set(field) for field in node.iter("{*}hidden-paragraph"))
            if is_told or around.get("display") == "none":
                look[_GONE] = "yes"
        elif kind in ("span", "a"):
            look |= self._styles.declared("text", attribute(node, "style-name"))
        elif kind == "section":
            look |= self._styles.declared("section", attribute(node, "style-name"))
            if attribute(node, "display") == "none" or _is_set(node):
                look[_GONE] = "yes"
        elif kind in _FRAMES:
            look[_GROUND] = "yes"
        elif kind == "hidden-text" and _is_set(node):
            look[_GONE] = "yes"
        return look

    def _is_unseen(self, look: _Look) -> bool:
        if _GONE in look or look.get("display") == "none":
            return True
        if _is_tiny(look.get("font-size", "")):
            return True
        if not self._is_bare or _GROUND in look or look.get("use-window-font-color") == "true":
            return False
        ground = look.get("background-color", "transparent")
        return ground == "transparent" and _is_white(look.get("color", ""))


def _tells(root: etree._Element) -> bool:
    looks = (_properties(node.getparent()) for node in root.iter("{*}text-properties"))
    return (
        any(
            look.get("display") == "none"
            or _is_tiny(look.get("font-size", ""))
            or _is_white(look.get("color", ""))
            for look in looks
        )
        or any(
            attribute(node, "display") == "none" or _is_set(node)
            for node in root.iter("{*}section")
        )
        or any(_is_set(node) for node in root.iter("{*}hidden-paragraph", "{*}hidden-text"))
    )


def _is_set(node: etree._Element) -> bool:
    return attribute(node, "is-hidden") == "true"


def _is_bare(styles: etree._Element) -> bool:
    """Whether no page has a ground of its own."""
    return not any(
        attribute(properties, "background-color", "transparent") != "transparent"
        or attribute(properties, "fill", "none") != "none"
        for properties in styles.iter("{*}page-layout-properties")
    )


def _is_white(colour: str) -> bool:
    found = _COLOUR.fullmatch(colour.strip())
    return found is not None and min(bytes.fromhex(found[1])) >= 255 - SAME_COLOUR


def _is_tiny(size: str) -> bool:
    found = _LENGTH.fullmatch(size)
    if found is None:
        return False
    try:
        number = float(found[1])
    except ValueError:
        return False
    if found[2] == "%":
        return number < _TINY_PERCENT
    return number * _POINTS[found[2]] < SMALLEST_WORD_POINTS
