"""Levels of headings: by the bookmarks, by their numbers, else by how they are set."""

from collections.abc import Sequence

from docling.datamodel.pipeline_options import HeadingHierarchyOptions
from docling.models.stages.heading_hierarchy.heading_hierarchy_model import (
    HeadingHierarchyModel,
)
from docling.utils.pdf_outline import _PdfOutlineItem
from docling_core.types.doc.document import DoclingDocument

from activities.assemble.blocks import Block, Label
from muniment.contracts.documents import OutlineEntry

DEEPEST = 6
SAME_SIZE = 0.04
MOST_BOOKMARKS = 3_000
"""More would be compared with every heading of their page for minutes."""


def rank_by_style(blocks: Sequence[Block]) -> None:
    """Gives every heading a level by size, then weight: the most prominent is the first."""
    headings = [block for block in blocks if block.label is Label.HEADING]
    sizes: list[float] = []
    for size in sorted({block.size for block in headings}, reverse=True):
        if not sizes or size < sizes[-1] * (1 - SAME_SIZE):
            sizes.append(size)
    styles = {
        id(block): (
            next(index for index, size in enumerate(sizes) if block.size >= size * (1 - SAME_SIZE)),
            not all(line.bold for line in block.lines),
        )
        for block in headings
    }
    ranks = sorted(set(styles.values()))
    for block in headings:
        block.level = min(ranks.index(styles[id(block)]) + 1, DEEPEST)


def settle_levels(document: DoclingDocument, outline: Sequence[OutlineEntry]) -> None:
    """docling's ranking on top of the style's: bookmarks decide, then numbers such as 2.1."""
    options = HeadingHierarchyOptions(enabled=True, use_style=False, max_level=DEEPEST)
    entries = [
        _PdfOutlineItem(title=entry.title, level=entry.level, page_no=entry.page, y_top=entry.top)
        for entry in outline[:MOST_BOOKMARKS]
        if entry.page is not None
    ]
    HeadingHierarchyModel(options).assign_heading_levels(document, outline=entries)
