"""What nobody sees of a Word document: runs that are hidden, tiny, or white on the bare page."""

from collections.abc import Iterator

from docx.document import Document
from docx.oxml.ns import qn
from docx.styles.style import CharacterStyle
from docx.text.paragraph import Paragraph
from docx.text.run import Run
from lxml import etree

from activities.read.cleaning import SMALLEST_WORD_POINTS
from activities.read.painted import SAME_COLOUR

HALF_POINTS = 2
"""Word's sizes are in halves of a point (ECMA-376, part 1, 17.3.2.38)."""
DEEPEST_STYLE = 20
_TELLING = {qn("w:vanish"), qn("w:color"), qn("w:sz")}
_GROUNDS = f".//{qn('w:shd')}"
_FRAMES = {qn("w:tbl"), qn("w:txbxContent")}
"""What stands in these may have a ground of its own, by a style or a shape."""

_Properties = list[etree._Element]


def take_out_unseen_runs(document: Document) -> list[str]:
    """Takes runs that nobody sees out of the body; a text for each paragraph that had some."""
    body = document.element.body
    if not any(_tells(root) for root in (body, document.styles.element)):
        return []
    is_bare = document.element.find(qn("w:background")) is None
    texts = []
    for element in list(body.iter(qn("w:p"))):
        paragraph = Paragraph(element, document)
        unseen = list(_unseen(paragraph, is_bare=is_bare))
        text = "".join(run.text for run in unseen)
        for run in unseen:
            run._r.getparent().remove(run._r)
        if text.strip():
            texts.append(" ".join(text.split()))
    return texts


def _tells(root: etree._Element) -> bool:
    return any(
        _is_on(node) if node.tag == qn("w:vanish") else _is_white(node) or _is_tiny(node)
        for node in root.iter(_TELLING)
    )


def _unseen(paragraph: Paragraph, *, is_bare: bool) -> Iterator[Run]:
    around = [*_in_styles(paragraph.style)]
    on_page = is_bare and _stands_on_the_page(paragraph, around)
    for element in paragraph._p.iter(qn("w:r")):
        if element.find(qn("w:t")) is None or next(element.iterancestors(qn("w:p"))) is not (
            paragraph._p
        ):
            continue
        run = Run(element, paragraph)
        own = element.find(qn("w:rPr"))
        properties = [*([own] if own is not None else []), *_in_styles(run.style), *around]
        if _is_unseen(properties, on_page=on_page):
            yield run


def _is_unseen(properties: _Properties, *, on_page: bool) -> bool:
    """By the innermost properties that say something."""
    vanish = _first(properties, qn("w:vanish"))
    if vanish is not None and _is_on(vanish):
        return True
    size = _first(properties, qn("w:sz"))
    if size is not None and _is_tiny(size):
        return True
    colour = _first(properties, qn("w:color"))
    if colour is None or not on_page or not _is_white(colour):
        return False
    return all(
        _first(properties, qn(f"w:{name}")) is None for name in ("shd", "highlight", "effect")
    )


def _stands_on_the_page(paragraph: Paragraph, around: _Properties) -> bool:
    if any(True for _ in paragraph._p.iterancestors(_FRAMES)):
        return False
    own = paragraph._p.find(qn("w:pPr"))
    styles = (node.getparent() for node in around)
    return not any(
        place is not None and place.find(_GROUNDS) is not None for place in (own, *styles)
    )


def _in_styles(style: CharacterStyle | None) -> Iterator[etree._Element]:
    """The run properties of a style and those that it is based on."""
    for _ in range(DEEPEST_STYLE):
        if style is None:
            return
        properties = style.element.find(qn("w:rPr"))
        if properties is not None:
            yield properties
        style = style.base_style


def _first(properties: _Properties, name: str) -> etree._Element | None:
    found = (each.find(name) for each in properties)
    return next((node for node in found if node is not None), None)


def _is_on(node: etree._Element) -> bool:
    return node.get(qn("w:val"), "true") not in ("0", "false", "off")


def _is_white(node: etree._Element) -> bool:
    value = node.get(qn("w:val"), "")
    try:
        channels = bytes.fromhex(value)
    except ValueError:
        return False
    return len(channels) == 3 and min(channels) >= 255 - SAME_COLOUR


def _is_tiny(node: etree._Element) -> bool:
    value = node.get(qn("w:val"), "")
    return value.isdecimal() and int(value) < HALF_POINTS * SMALLEST_WORD_POINTS
