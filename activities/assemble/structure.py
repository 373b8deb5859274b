"""Labelled blocks of a whole document, in reading order."""

from collections.abc import Mapping, Sequence

from activities.assemble.blocks import Block, Label, blocks_of
from activities.assemble.furniture import Furniture, find_furniture
from activities.assemble.labels import DocumentStyle, label
from activities.assemble.levels import rank_by_style
from muniment.contracts.documents import BoundingBox, OutlineEntry, Page

BACKGROUND_SHARE = 0.8
"""A picture that covers this share of a page with text is its ground, or the scan that was read."""


def make_blocks(pages: Sequence[Page], outline: Sequence[OutlineEntry] = ()) -> list[Block]:
    """The document's blocks, in the pages' order, running heads and feet among them."""
    style = DocumentStyle.of(pages, outline)
    furniture = find_furniture(pages, style.body_size)
    blocks: list[Block] = []
    for page in pages:
        blocks += _blocks_of_page(page, furniture.get(page.page, {}))
    label(blocks, style)
    rank_by_style(blocks)
    return blocks


def _blocks_of_page(page: Page, furniture: Mapping[int, Furniture]) -> list[Block]:
    blocks = []
    for index in sorted(furniture):
        kind = Label.FURNITURE_TOP if furniture[index].at_top else Label.FURNITURE_BOTTOM
        blocks.append(Block(page.page, kind, [page.lines[index]]))
    body = blocks_of(page, frozenset(furniture))
    for picture in page.pictures:
        if not _is_background(picture, page):
            body.insert(_place_of(picture, body), Block(page.page, Label.PICTURE, place=picture))
    return [*blocks, *body]


def _is_background(picture: BoundingBox, page: Page) -> bool:
    area = (picture[2] - picture[0]) * (picture[3] - picture[1])
    return bool(page.lines) and area >= BACKGROUND_SHARE * page.width * page.height


def _place_of(picture: BoundingBox, body: Sequence[Block]) -> int:
    """Before the first block below the picture that shares some of its width; else at the end."""
    for position, block in enumerate(body):
        box = block.bbox
        if (
            box is not None
            and box[1] >= picture[1]
            and min(box[2], picture[2]) > max(box[0], picture[0])
        ):
            return position
    return len(body)
