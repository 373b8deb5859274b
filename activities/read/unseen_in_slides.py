"""What nobody sees of a presentation (PPTX): hidden slides and shapes, and what lies beside a slide."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from lxml import etree

from activities.read.office_package import OfficePackage, UnseenText, attribute, local_name

_Box = tuple[float, float, float, float]
_SHAPES = ("sp", "pic", "graphicFrame", "grpSp", "cxnSp")
_PLACES = ("{*}xfrm", "{*}spPr/{*}xfrm", "{*}grpSpPr/{*}xfrm")
_UNPLACED = 1_000_000


@dataclass(frozen=True, slots=True)
class _Frame:
    """How the places of what is within a group become places on the slide."""

    left: float = 0.0
    top: float = 0.0
    across: float = 1.0
    down: float = 1.0

    def box(self, place: etree._Element, start: str, size: str) -> _Box | None:
        """Left, top, right and bottom of what `start` and `size` name."""
        corner, extent = place.find(f"{{*}}{start}"), place.find(f"{{*}}{size}")
        if corner is None or extent is None:
            return None
        try:
            x, y = float(attribute(corner, "x")), float(attribute(corner, "y"))
            width, height = float(attribute(extent, "cx")), float(attribute(extent, "cy"))
        except ValueError:
            return None
        left, top = self.left + x * self.across, self.top + y * self.down
        return left, top, left + width * self.across, top + height * self.down

    def within(self, group: etree._Element) -> "_Frame":
        """The frame of the group's own children (ECMA-376, part 1, 20.1.7.5)."""
        place = _place(group)
        outside = None if place is None else self.box(place, "off", "ext")
        inside = None if place is None else _Frame().box(place, "chOff", "chExt")
        if outside is None or inside is None:
            return self
        left, top, right, bottom = inside
        if right == left or bottom == top:
            return self
        across = (outside[2] - outside[0]) / (right - left)
        down = (outside[3] - outside[1]) / (bottom - top)
        return _Frame(outside[0] - left * across, outside[1] - top * down, across, down)


def take_out_of_presentation_package(package: OfficePackage) -> list[UnseenText]:
    """Takes out the shapes of slides that are hidden or not in the presentation's list, those that are
    hidden themselves, and those that lie beside their slide by their own places. Speaker's notes
    stay."""
    order, size = slide_numbers(package), _size(package)
    texts: list[UnseenText] = []
    for name, slide in package.roots("sld"):
        is_listed = name in order or not order
        unseen = list(_unseen(slide, size, is_listed=is_listed))
        for shape in unseen:
            texts += [UnseenText(text, order.get(name)) for text in _texts(shape)]
        for shape in unseen:
            shape.getparent().remove(shape)
    return sorted(texts, key=lambda text: text.page or _UNPLACED)


def slide_numbers(package: OfficePackage) -> dict[str, int]:
    """The slides' numbers, in the order of the presentation, by their parts' names."""
    for name, root in package.roots("presentation"):
        targets = package.targets(name)
        listed = [
            targets[identifier]
            for slide in root.iter("{*}sldId")
            for identifier in _relations(slide)
            if identifier in targets
        ]
        if listed:
            return {part: number for number, part in enumerate(listed, start=1)}
    return {}


def _size(package: OfficePackage) -> tuple[float, float] | None:
    """Of all slides: width and height."""
    sizes = []
    for _, root in package.roots("presentation"):
        for size in root.iterfind("{*}sldSz"):
            with suppress(ValueError):
                sizes.append((float(attribute(size, "cx")), float(attribute(size, "cy"))))
    return min(sizes, default=None)


def _relations(slide: etree._Element) -> Iterator[str]:
    """`r:id`, beside which stands an `id` of the slide's own, without a namespace."""
    for key, value in slide.attrib.items():
        if str(key).startswith("{") and str(key).endswith("}id"):
            yield str(value)


def _unseen(
    slide: etree._Element, size: tuple[float, float] | None, *, is_listed: bool
) -> Iterator[etree._Element]:
    tree = slide.find("{*}cSld/{*}spTree")
    if tree is None:
        return
    if not is_listed or attribute(slide, "show") in ("0", "false"):
        yield from _shapes(tree)
    else:
        yield from _unseen_shapes(tree, _Frame(), size)


def _shapes(parent: etree._Element) -> Iterator[etree._Element]:
    """Of a slide or group, those in alternatives for older programs too."""
    for child in parent:
        kind = local_name(child)
        if kind in _SHAPES:
            yield child
        elif kind:
            yield from _shapes(child)


def _unseen_shapes(
    parent: etree._Element, frame: _Frame, size: tuple[float, float] | None
) -> Iterator[etree._Element]:
    for shape in _shapes(parent):
        if _is_hidden(shape) or _is_beside(shape, frame, size):
            yield shape
        elif local_name(shape) == "grpSp":
            yield from _unseen_shapes(shape, frame.within(shape), size)


def _is_hidden(shape: etree._Element) -> bool:
    return any(attribute(node, "hidden") in ("1", "true") for node in shape.iterfind("*/{*}cNvPr"))


def _is_beside(shape: etree._Element, frame: _Frame, size: tuple[float, float] | None) -> bool:
    place = _place(shape)
    box = None if place is None or size is None else frame.box(place, "off", "ext")
    if box is None or size is None:
        return False
    left, top, right, bottom = box
    return right <= 0 or bottom <= 0 or left >= size[0] or top >= size[1]


def _place(shape: etree._Element) -> etree._Element | None:
    return next((found for path in _PLACES if (found := shape.find(path)) is not None), None)


def _texts(shape: etree._Element) -> Iterator[str]:
    for paragraph in shape.iter("{*}p"):
        text = "".join(node.text or "" for node in paragraph.iter("{*}t"))
        if text.strip():
            yield " ".join(text.split())
