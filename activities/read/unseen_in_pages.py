"""What nobody sees of a web page, as far as its own styles tell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString
from tinycss2.ast import Node
from tinycss2.color3 import parse_color

from activities.read.painted import SAME_COLOUR, TRANSPARENT, WHITE, Colour
from activities.read.style_sheets import Declared, StyledTag, Value, styled_tags

TINY_PIXELS = 2.0
TINY_SHARE = 0.1
"""Of the font's size around it."""
FAR_OFF_PIXELS = -500.0
PIXELS_PER_EM = 16.0
THIN_PIXELS = 1.0
"""A box no higher or wider, of which nothing may overflow, shows no text."""
FAINTEST = 0.05

_FAR_OFF = ("left", "top", "right", "bottom", "margin-left", "margin-top")
_PROPERTIES = frozenset(
    (
        *("display", "visibility", "opacity", "font-size", "position", "text-indent"),
        *("color", "background", "background-color", "background-image"),
        *("overflow", "height", "width", "max-height", "max-width", "clip"),
        *_FAR_OFF,
    )
)
_NO_TEXT = frozenset(("script", "style", "template", "noscript", "title", "textarea", "option"))
_PIXELS = {
    "px": 1.0,
    "em": PIXELS_PER_EM,
    "rem": PIXELS_PER_EM,
    "ex": 8.0,
    "ch": 8.0,
    "in": 96.0,
    "cm": 96 / 2.54,
    "mm": 96 / 25.4,
    "q": 96 / 101.6,
    "pt": 4 / 3,
    "pc": 16.0,
}
"""CSS Values and Units, section 6.2; the first line's hang on the font, which is taken as usual."""
_SIDES = 4
_PAGE = frozenset(("html", "body"))
"""Hidden as a whole until a script has looked whether the page stands in another's frame."""
_BLACK: Colour = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Look:
    """How an element's own text looks; a ground of None is not known."""

    ink: Colour | None
    ground: Colour | None
    gone: bool = False
    invisible: bool = False
    tiny: bool = False

    @property
    def is_unseen(self) -> bool:
        return self.gone or self.invisible or self.tiny or self._is_same_colour()

    def _is_same_colour(self) -> bool:
        if self.ink is None or self.ground is None:
            return False
        return all(
            abs(one - other) <= SAME_COLOUR
            for one, other in zip(self.ink, self.ground, strict=True)
        )


def take_out_unseen_text(page: BeautifulSoup) -> list[str]:
    """Takes out of the page what is not displayed, has no size or lies far off, and what is written
    in its ground's colour; a text for each stretch.

    Scripts may show later what is not displayed at first; a picture behind the text, or a sheet
    elsewhere, may give a ground that is not known here: text of one colour with an unknown ground stays.
    """
    styled = styled_tags(page, _PROPERTIES)
    links_sheets = any("stylesheet" in (link.get("rel") or []) for link in page.find_all("link"))
    outermost = _Look(_BLACK, None if links_sheets else WHITE)
    looks: list[_Look] = []
    for element in styled:
        around = outermost if element.parent is None else looks[element.parent]
        looks.append(_look(element, around))
    return [text for text in _taken_out(styled, looks) if text]


def _taken_out(styled: Sequence[StyledTag], looks: Sequence[_Look]) -> Iterator[str]:
    for element, look in zip(styled, looks, strict=True):
        tag = element.tag
        if not look.is_unseen or tag.decomposed or tag.name in _NO_TEXT:
            continue
        if look.gone:
            yield " ".join(
                " ".join(text for text in tag.find_all(string=True) if _is_text(text)).split()
            )
            tag.decompose()
            continue
        own = [text for text in tag.find_all(string=True, recursive=False) if _is_text(text)]
        yield " ".join(" ".join(own).split())
        for text in own:
            text.extract()


def _is_text(text: NavigableString) -> bool:
    if isinstance(text, PreformattedString):  # comments and the like
        return False
    return text.parent is None or text.parent.name not in _NO_TEXT


def _look(element: StyledTag, around: _Look) -> _Look:
    tag, declared = element.tag, element.declared
    if around.gone or (not declared and not tag.attrs):
        return around
    look = _coloured(tag, declared, around)
    visibility = _word(declared.get("visibility"))
    if visibility:
        look = replace(look, invisible=visibility in ("hidden", "collapse"))
    if size := declared.get("font-size"):
        look = replace(look, tiny=_is_tiny(size))
    is_gone = tag.name not in _PAGE and (tag.has_attr("hidden") or _is_gone(declared))
    return replace(look, gone=is_gone)


def _coloured(tag: Tag, declared: Declared, around: _Look) -> _Look:
    ink, ground = around.ink, around.ground
    if _word(declared.get("position")) in ("absolute", "fixed"):
        ground = None  # over whatever it is put
    for name in ("bgcolor", "background"):
        if given := tag.get(name):
            ground = _opaque(str(given)) if name == "bgcolor" else None
    for name in ("background", "background-color", "background-image"):
        if value := declared.get(name):
            ground = _ground(value, ground)
    if tag.name == "font" and (given := tag.get("color")):
        ink = _opaque(str(given))
    if value := declared.get("color"):
        ink = _ink(value, ink, ground)
    return replace(around, ink=ink, ground=ground)


def _ground(value: Value, behind: Colour | None) -> Colour | None:
    for token in value:
        if token.type in ("url", "function") and parse_color(token) is None:
            return None  # a picture or a gradient
    for token in value:
        colour = parse_color(token)
        if colour is not None and colour != "currentColor" and colour.alpha > FAINTEST:
            return _opaque(token)
    return behind


def _ink(value: Value, around: Colour | None, ground: Colour | None) -> Colour | None:
    """What is transparent has its ground's colour."""
    for token in value:
        colour = parse_color(token)
        if colour is not None and colour != "currentColor":
            return ground if colour.alpha * 255 <= TRANSPARENT else _opaque(token)
    return around


def _opaque(given: object) -> Colour | None:
    """None for what is no colour, or lets another one through."""
    colour = parse_color(given)
    if colour is None or colour == "currentColor" or colour.alpha < 1 - FAINTEST:
        return None
    red, green, blue = (round(255 * channel) for channel in colour[:3])
    return red, green, blue


def _is_gone(declared: Declared) -> bool:
    if _word(declared.get("display")) == "none":
        return True
    opacity = declared.get("opacity")
    if opacity and opacity[0].type in ("number", "percentage") and opacity[0].value <= FAINTEST:
        return True
    indent = _pixels(declared.get("text-indent"))
    if indent is not None and indent <= FAR_OFF_PIXELS:
        return True
    if _word(declared.get("position")) in ("absolute", "fixed", "relative") and any(
        (_pixels(declared.get(side)) or 0.0) <= FAR_OFF_PIXELS for side in _FAR_OFF
    ):
        return True
    if any(_is_empty_clip(token) for token in declared.get("clip", ())):
        return True
    if _word(declared.get("overflow")) not in ("hidden", "clip"):
        return False
    sides = (_pixels(declared.get(side)) for side in ("height", "width", "max-height", "max-width"))
    return any(side is not None and 0 <= side <= THIN_PIXELS for side in sides)


def _is_empty_clip(token: Node) -> bool:
    """rect(0 0 0 0) and the like: of its four sides (top, right, bottom, left) two meet. `auto` is
    where the element ends."""
    if token.type != "function" or token.lower_name != "rect":
        return False
    given = [each for each in token.arguments if each.type not in ("whitespace", "literal")]
    sides = [_pixels([each]) for each in given]
    if len(sides) != _SIDES:
        return False
    top, right, bottom, left = sides
    return _meet(top, bottom) or _meet(left, right)


def _meet(first: float | None, second: float | None) -> bool:
    return first is not None and second is not None and second - first <= THIN_PIXELS


def _is_tiny(size: Value) -> bool:
    token = size[0]
    if token.type == "percentage":
        return bool(token.value < 100 * TINY_SHARE)
    if token.type == "dimension" and token.lower_unit in ("em", "rem"):
        return bool(token.value < TINY_SHARE)
    pixels = _pixels(size)
    return pixels is not None and pixels < TINY_PIXELS


def _pixels(value: Value | None) -> float | None:
    """The first length, percentages left out; None where there is none, or none that is known without
    the window that the page is shown in."""
    for token in value or ():
        if token.type == "number":
            return float(token.value)
        if token.type == "dimension":
            pixels = _PIXELS.get(token.lower_unit)
            return 0.0 if token.value == 0 else pixels and float(token.value) * pixels
    return None


def _word(value: Value | None) -> str:
    return str(value[0].lower_value) if value and value[0].type == "ident" else ""
