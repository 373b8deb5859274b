"""What a web page's own style sheets and styles declare of its elements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

import cssselect2
import tinycss2
from bs4 import BeautifulSoup, Tag

MOST_CHARACTERS = 1_000_000
MOST_RULES = 5_000
"""Of those that say something of the properties asked for."""
_SHOWN_ON_SCREENS = frozenset(("", "all", "screen", "only screen"))

Value = Sequence[tinycss2.ast.Node]
"""A property's value, as tokens without white space."""
Declared = Mapping[str, Value]
_Declarations = list[tuple[str, Value, bool]]


@dataclass(frozen=True, slots=True)
class StyledTag:
    """An element with what is declared of itself; `parent` is its place in the list, before it."""

    tag: Tag
    parent: int | None
    declared: Declared


def styled_tags(page: BeautifulSoup, properties: frozenset[str]) -> list[StyledTag]:
    """The page's elements from the outermost in, in document order, with those of these properties
    that the page's sheets and the elements' own styles declare (by the rules of the cascade).

    Sheets elsewhere, print and conditions on the window are left out.
    """
    matcher = cssselect2.Matcher()
    css = "\n".join(sheet.get_text() for sheet in page.find_all("style"))[:MOST_CHARACTERS]
    for selector, declarations in _selectors(css, properties):
        matcher.add_selector(selector, declarations)
    mirror = _Mirror.of(page)
    wrapped = cssselect2.ElementWrapper.from_html_root(mirror.root)
    places: dict[int, int] = {}
    styled: list[StyledTag] = []
    for element in wrapped.iter_subtree():
        tag = mirror.tags.get(id(element.etree_element))
        if tag is None:
            continue
        matched = [
            declaration
            for _, _, pseudo, declarations in matcher.match(element)
            if pseudo is None
            for declaration in declarations
        ]
        own = list(_declarations(str(tag.get("style") or ""), properties))
        parent = places.get(id(element.parent.etree_element)) if element.parent else None
        places[id(element.etree_element)] = len(styled)
        styled.append(StyledTag(tag, parent, _cascaded([*matched, *own])))
    return styled


def _selectors(
    css: str, properties: frozenset[str]
) -> Iterator[tuple[cssselect2.compiler.CompiledSelector, _Declarations]]:
    found = 0
    for rule in _rules(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)):
        declarations = list(_declarations(rule.content, properties))
        if not declarations or found >= MOST_RULES:
            continue
        try:
            compiled = cssselect2.compile_selector_list(rule.prelude)
        except cssselect2.SelectorError:
            continue
        for selector in compiled:
            found += 1
            yield selector, declarations


def _rules(nodes: Iterable[tinycss2.ast.Node]) -> Iterator[tinycss2.ast.QualifiedRule]:
    for node in nodes:
        if node.type == "qualified-rule":
            yield node
        elif _is_for_screens(node):
            yield from _rules(
                tinycss2.parse_rule_list(node.content, skip_comments=True, skip_whitespace=True)
            )


def _is_for_screens(node: tinycss2.ast.Node) -> bool:
    if node.type != "at-rule" or node.lower_at_keyword != "media" or not node.content:
        return False
    return tinycss2.serialize(node.prelude).strip().lower() in _SHOWN_ON_SCREENS


def _declarations(
    source: str | Value, properties: frozenset[str]
) -> Iterator[tuple[str, Value, bool]]:
    if not source:
        return
    for node in tinycss2.parse_blocks_contents(source, skip_comments=True, skip_whitespace=True):
        if node.type == "declaration" and node.lower_name in properties:
            value = [token for token in node.value if token.type not in ("whitespace", "comment")]
            yield node.lower_name, value, bool(node.important)


def _cascaded(declarations: _Declarations) -> Declared:
    """Later ones outweigh earlier ones, important ones all others."""
    in_order = sorted(declarations, key=lambda declaration: declaration[2])
    return {name: value for name, value, _ in in_order}


@dataclass(frozen=True, slots=True)
class _Mirror:
    """The page's elements as the selectors' library takes them, without texts."""

    root: Element
    tags: dict[int, Tag] = field(default_factory=dict)

    @classmethod
    def of(cls, page: BeautifulSoup) -> "_Mirror":
        top = [child for child in page.children if isinstance(child, Tag)]
        root = next((tag for tag in top if tag.name == "html"), None)
        mirror = cls(_element(root) if root else Element("html"))
        if root is not None:
            mirror.tags[id(mirror.root)] = root
        waiting: list[tuple[Tag, Element]] = [
            (root, mirror.root) if root is not None else (page, mirror.root)
        ]
        while waiting:
            tag, element = waiting.pop()
            for child in tag.children:
                if isinstance(child, Tag):
                    inner = _element(child)
                    element.append(inner)
                    mirror.tags[id(inner)] = child
                    waiting.append((child, inner))
        return mirror


def _element(tag: Tag) -> Element:
    attributes = {
        str(name).lower(): " ".join(value) if isinstance(value, list) else str(value)
        for name, value in tag.attrs.items()
    }
    return Element(tag.name.lower(), attributes)
