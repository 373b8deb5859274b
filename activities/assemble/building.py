"""A DoclingDocument out of labelled blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from docling_core.types.doc.base import BoundingBox, CoordOrigin, Size
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.common.reference import ProvenanceItem
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.group import ListGroup
from docling_core.types.doc.items.picture.picture import PictureItem
from docling_core.types.doc.items.table.table import TableItem
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from docling_core.types.doc.items.text import ListItem, TextItem
from docling_core.types.doc.labels import DocItemLabel

from activities.assemble.blocks import Block, Label
from activities.assemble.joining import joined, text_of
from activities.assemble.labels import nearest
from muniment.contracts.documents import BoundingBox as Place
from muniment.contracts.documents import Table

_TEXT_LABELS = {
    Label.TEXT: DocItemLabel.TEXT,
    Label.FOOTNOTE: DocItemLabel.FOOTNOTE,
    Label.CAPTION: DocItemLabel.CAPTION,
}
DEEPER_BY = 0.8
"""In ems, how much further right a list within a list starts."""


def build(
    sizes: Mapping[int, Size], blocks: Sequence[Block], words: frozenset[str]
) -> DoclingDocument:
    """The document of these blocks, on pages of these sizes; `words` is its vocabulary. The blocks
    are used up: a document of thousands of pages is not to be in memory twice."""
    builder = _Builder(DoclingDocument(name="document"), words, _captions(blocks))
    for number, size in sizes.items():
        builder.document.add_page(page_no=number, size=size)
    for block in blocks:
        builder.add(block)
        block.lines = []
    return builder.document


def _captions(blocks: Sequence[Block]) -> dict[int, Block]:
    """Captions by the table or picture that they are about."""
    about: dict[int, list[Block]] = {}
    for block in blocks:
        if block.label in (Label.TABLE, Label.PICTURE):
            about.setdefault(block.page, []).append(block)
    captions: dict[int, Block] = {}
    for block in blocks:
        if block.label is Label.CAPTION:
            found = nearest(block, about.get(block.page, ()))
            if found is not None:
                captions.setdefault(id(found), block)
    return captions


@dataclass
class _List:
    left: float
    group: ListGroup
    last: ListItem | None = None


@dataclass
class _Builder:
    document: DoclingDocument
    words: frozenset[str]
    captions: dict[int, Block]
    _lists: list[_List] = field(default_factory=list)
    _paragraph: TextItem | None = None
    _items: dict[int, TextItem] = field(default_factory=dict)
    _waiting: dict[int, TableItem | PictureItem] = field(default_factory=dict)

    def add(self, block: Block) -> None:
        if block.label is Label.LIST_ITEM:
            self._add_list_item(block)
            return
        if block.label in (Label.FURNITURE_TOP, Label.FURNITURE_BOTTOM):
            self._add_furniture(block)
            return
        if block.label not in (Label.FOOTNOTE, Label.PICTURE):
            self._lists = []
        if block.label is Label.TABLE and block.table is not None:
            self._captioned(block, self._add_table(block, block.table))
        elif block.label is Label.PICTURE:
            self._captioned(block, self.document.add_picture(prov=_provenance(block, 0)))
        else:
            self._add_text(block)

    def _add_text(self, block: Block) -> None:
        text = text_of(block, self.words)
        if not text:
            return
        place = _provenance(block, len(text))
        if block.label is Label.HEADING:
            self.document.add_heading(text=text, level=block.level, prov=place)
        elif block.label is Label.CODE:
            self.document.add_code(text=text, prov=place)
        elif block.continues and self._paragraph is not None:
            self._continue(self._paragraph, text, place)
        else:
            item = self.document.add_text(label=_TEXT_LABELS[block.label], text=text, prov=place)
            if block.label is Label.TEXT:
                self._paragraph = item
            elif block.label is Label.CAPTION:
                self._items[id(block)] = item
                if id(block) in self._waiting:
                    self._waiting[id(block)].captions.append(item.get_ref())

    def _continue(self, paragraph: TextItem, text: str, place: ProvenanceItem) -> None:
        """The rest of a paragraph: a second place, its text after the first's."""
        whole = joined([paragraph.text, text], self.words)
        start = max(0, len(whole) - len(text))
        paragraph.prov[-1].charspan = (paragraph.prov[-1].charspan[0], start)
        place.charspan = (start, len(whole))
        paragraph.prov.append(place)
        paragraph.text = paragraph.orig = whole

    def _captioned(self, block: Block, item: TableItem | PictureItem) -> None:
        """Ties the caption to its item, whichever comes first."""
        caption = self.captions.get(id(block))
        if caption is None:
            return
        if id(caption) in self._items:
            item.captions.append(self._items[id(caption)].get_ref())
        else:
            self._waiting[id(caption)] = item

    def _add_list_item(self, block: Block) -> None:
        text = text_of(block, self.words)
        if not text:
            return
        current = self._list_for(block)
        enumerated = any(character.isalnum() for character in block.marker)
        current.last = self.document.add_list_item(
            text=text,
            enumerated=enumerated,
            marker=block.marker if enumerated else "-",
            parent=current.group,
            prov=_provenance(block, len(text)),
        )

    def _list_for(self, block: Block) -> _List:
        """The list that the item belongs to: one within another starts further right."""
        left = block.bbox[0] if block.bbox is not None else 0.0
        step = DEEPER_BY * max(6.0, block.size)
        while len(self._lists) > 1 and left < self._lists[-1].left - step:
            self._lists.pop()
        if not self._lists:
            self._lists = [_List(left, self.document.add_list_group())]
        last = self._lists[-1]
        if last.last is not None and step < left - last.left < 12 * step:
            self._lists.append(_List(left, self.document.add_list_group(parent=last.last)))
        return self._lists[-1]

    def _add_table(self, block: Block, table: Table) -> TableItem:
        cells = []
        for cell in table.cells:
            first = cell.first_line - table.first_line
            lines = block.lines[first : first + cell.line_count]
            cells.append(
                TableCell(
                    bbox=_box(cell.bbox),
                    text=joined([line.text for line in lines], self.words),
                    row_span=cell.row_span,
                    col_span=cell.column_span,
                    start_row_offset_idx=cell.row,
                    end_row_offset_idx=cell.row + cell.row_span,
                    start_col_offset_idx=cell.column,
                    end_col_offset_idx=cell.column + cell.column_span,
                    column_header=cell.is_header,
                )
            )
        data = TableData(num_rows=table.row_count, num_cols=table.column_count, table_cells=cells)
        item: TableItem = self.document.add_table(data=data, prov=_provenance(block, 0))
        return item

    def _add_furniture(self, block: Block) -> None:
        text = text_of(block, self.words)
        at_top = block.label is Label.FURNITURE_TOP
        self.document.add_text(
            label=DocItemLabel.PAGE_HEADER if at_top else DocItemLabel.PAGE_FOOTER,
            text=text,
            prov=_provenance(block, len(text)),
            content_layer=ContentLayer.FURNITURE,
        )


def _provenance(block: Block, length: int) -> ProvenanceItem:
    return ProvenanceItem(
        page_no=block.page,
        bbox=_box(block.bbox or (0.0, 0.0, 0.0, 0.0)),
        charspan=(0, length),
    )


def _box(place: Place) -> BoundingBox:
    left, top, right, bottom = place
    return BoundingBox(l=left, t=top, r=right, b=bottom, coord_origin=CoordOrigin.TOPLEFT)
