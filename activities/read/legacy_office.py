"""Word and PowerPoint 97–2003 through anydoc: headings, lists and tables instead of bare lines."""

from collections.abc import Sequence

import anydoc
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.node import NodeItem
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from docling_core.types.doc.items.text import ListItem
from docling_core.types.doc.labels import DocItemLabel

from activities.read.kreuzberg_formats import lines_document

LEAST_SHARE = 0.5
"""Of the words that kreuzberg finds: a library that loses more is not believed."""


def word_document(data: bytes, media_type: str) -> DoclingDocument:
    """A Word document with its headings, lists, tables and notes; bare lines where the structure
    cannot be read."""
    return _structured(data, media_type, is_presentation=False)


def presentation(data: bytes, media_type: str) -> DoclingDocument:
    """A presentation's slides with their titles, lists and speaker's notes, tables as lines."""
    return _structured(data, media_type, is_presentation=True)


def _structured(data: bytes, media_type: str, *, is_presentation: bool) -> DoclingDocument:
    try:
        found = anydoc.to_document(data, "ppt" if is_presentation else "doc")
    except anydoc.ConvertError:
        return lines_document(data, media_type)
    writer = _Writer(is_presentation)
    writer.write(found.blocks)
    for note in found.notes:
        writer.write_note(note)
    lines = lines_document(data, media_type)
    enough = _count_words(writer.document) >= LEAST_SHARE * _count_words(lines)
    return writer.document if enough else lines


def _count_words(document: DoclingDocument) -> int:
    cells = (cell.text for table in document.tables for cell in table.data.table_cells)
    return sum(len(text.split()) for text in (*(item.text for item in document.texts), *cells))


class _Writer:
    """Puts blocks of anydoc's model into a document."""

    def __init__(self, is_presentation: bool) -> None:
        self.document = DoclingDocument(name="document")
        self._is_presentation = is_presentation

    def write(self, blocks: Sequence[anydoc.Block], parent: NodeItem | None = None) -> None:
        for block in blocks:
            self._write_block(block, parent)

    def write_note(self, note: anydoc.Note) -> None:
        text = _text_of(note.blocks)
        if text:
            self.document.add_text(label=DocItemLabel.FOOTNOTE, text=text)

    def _write_block(self, block: anydoc.Block, parent: NodeItem | None) -> None:
        if block.list is not None:
            self._write_list(block.list, parent)
        elif block.table is not None:
            self._write_table(block.table, parent)
        elif block.kind == "block_quote":
            self._write_quote(block.blocks or [], parent)
        elif text := _text(block):
            if block.kind != "heading":
                self.document.add_text(label=DocItemLabel.TEXT, text=text, parent=parent)
            elif self._is_presentation:
                self.document.add_title(text, parent=parent)
            else:
                self.document.add_heading(text, level=block.level or 1, parent=parent)

    def _write_quote(self, blocks: Sequence[anydoc.Block], parent: NodeItem | None) -> None:
        """What the library quotes of a presentation are the speaker's notes."""
        first = len(self.document.texts)
        self.write(blocks, parent)
        if self._is_presentation:
            for item in self.document.texts[first:]:
                item.content_layer = ContentLayer.NOTES

    def _write_list(self, found: anydoc.List, parent: NodeItem | None) -> None:
        group = self.document.add_list_group(parent=parent)
        is_numbered = found.marker != "bullet"
        for number, item in enumerate(found.items, start=found.start):
            own, inner = _split(item.blocks)
            written: ListItem = self.document.add_list_item(
                own,
                enumerated=is_numbered,
                marker=item.marker_label or (f"{number}." if is_numbered else "-"),
                parent=group,
            )
            self.write(inner, written)

    def _write_table(self, table: anydoc.Table, parent: NodeItem | None) -> None:
        if table.kind == "layout":
            for row in table.grid:
                for slot in row:
                    self.write(slot.cell.blocks if slot.cell else [], parent)
            return
        cells = [
            TableCell(
                text=_text_of(slot.cell.blocks),
                row_span=slot.cell.row_span,
                col_span=slot.cell.col_span,
                start_row_offset_idx=row,
                end_row_offset_idx=row + slot.cell.row_span,
                start_col_offset_idx=column,
                end_col_offset_idx=column + slot.cell.col_span,
                column_header=row < table.header_rows,
            )
            for row, slots in enumerate(table.grid)
            for column, slot in enumerate(slots)
            if slot.cell is not None
        ]
        if not any(cell.text for cell in cells):
            return
        width = max(len(row) for row in table.grid)
        data = TableData(table_cells=cells, num_rows=len(table.grid), num_cols=width)
        self.document.add_table(data=data, parent=parent)


def _split(blocks: Sequence[anydoc.Block]) -> tuple[str, Sequence[anydoc.Block]]:
    """A list item's own text, and what stands within it."""
    if blocks and blocks[0].content is not None:
        return _text(blocks[0]), blocks[1:]
    return "", blocks


def _text_of(blocks: Sequence[anydoc.Block]) -> str:
    """All text of a cell or note, in a line."""
    texts = []
    for block in blocks:
        inner = [
            *(block.blocks or []),
            *(inner for item in (block.list.items if block.list else []) for inner in item.blocks),
            *_cells(block.table),
        ]
        texts += [_text(block), _text_of(inner)]
    return " ".join(text for text in texts if text)


def _cells(table: anydoc.Table | None) -> list[anydoc.Block]:
    slots = (slot for row in (table.grid if table else []) for slot in row)
    return [block for slot in slots if slot.cell for block in slot.cell.blocks]


def _text(block: anydoc.Block) -> str:
    written = block.text or "".join(_inline(inline) for inline in block.content or [])
    return " ".join(written.replace("\0", "").split())


def _inline(inline: anydoc.Inline) -> str:
    if inline.kind == "line_break":
        return " "
    return inline.text or "".join(_inline(inner) for inner in inline.content or [])
