"""Markdown and plain text out of a DoclingDocument."""

from collections.abc import Iterator

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.group import InlineGroup
from docling_core.types.doc.items.picture.picture import PictureItem
from docling_core.types.doc.items.table.table import TableItem
from docling_core.types.doc.items.table.table_data import TableData
from docling_core.types.doc.items.text import ListItem, SectionHeaderItem, TextItem

READ_LAYERS = {ContentLayer.BODY, ContentLayer.NOTES}
"""Running heads and feet are furniture: they repeat what is no part of the text."""

_CLINGS_TO_WHAT_IS_BEFORE = (",", ".", ";", ":", "!", "?", ")", "]", "”", "’", "»")
_CLINGS_TO_WHAT_IS_AFTER = ("(", "[", "“", "‘", "«")


def to_markdown(document: str) -> str:
    """Markdown of a DoclingDocument given as JSON; pictures become a comment."""
    return document_markdown(DoclingDocument.model_validate_json(document))


def to_text(document: str) -> str:
    """Plain text of a DoclingDocument given as JSON: an item per paragraph, a row per line."""
    return document_text(DoclingDocument.model_validate_json(document))


def document_markdown(document: DoclingDocument) -> str:
    """Markdown of the whole document, notes and comments included."""
    markdown: str = document.export_to_markdown(included_content_layers=READ_LAYERS)
    return markdown


def document_text(document: DoclingDocument, page: int | None = None) -> str:
    """Plain text of the whole document or of one of its pages."""
    lines: list[str] = []
    open_line = ""
    for line, text in _texts(document, page):
        if not text.strip():
            continue
        if line and line == open_line:
            lines[-1] = _joined(lines[-1], text)
        else:
            lines.append(text)
        open_line = line
    return "\n".join(lines)


def _joined(before: str, after: str) -> str:
    """docling's backends cut a line where its type changes, and drop the space that was there."""
    if after.startswith(_CLINGS_TO_WHAT_IS_BEFORE) or before.endswith(_CLINGS_TO_WHAT_IS_AFTER):
        return before + after
    return f"{before} {after}"


def _texts(document: DoclingDocument, page: int | None) -> Iterator[tuple[str, str]]:
    """Texts, each with the name of the line that it is a part of; without one it is a line."""
    in_tables = _texts_of_table_cells(document)
    for item, _ in document.iterate_items(
        page_no=page, included_content_layers=READ_LAYERS, traverse_pictures=True
    ):
        if isinstance(item, TableItem):
            yield "", _table_text(item.data)
        elif isinstance(item, PictureItem):
            if item.meta is not None and item.meta.tabular_chart is not None:
                yield "", _table_text(item.meta.tabular_chart.chart_data)
        elif isinstance(item, ListItem):
            text = f"{item.marker} {item.text}".strip() if item.enumerated else item.text
            yield "" if item.text else item.self_ref, text
        elif isinstance(item, SectionHeaderItem | TextItem) and item.self_ref not in in_tables:
            yield _line_of(document, item), item.text


def _line_of(document: DoclingDocument, item: TextItem) -> str:
    """The list item that holds nothing but the inline group of this item, or the group itself."""
    group = item.parent.resolve(document) if item.parent else None
    if not isinstance(group, InlineGroup):
        return ""
    outer = group.parent.resolve(document) if group.parent else None
    if isinstance(outer, ListItem) and not outer.text:
        return str(outer.self_ref)
    return str(group.self_ref)


def _texts_of_table_cells(document: DoclingDocument) -> set[str]:
    """Rich cells hold items of their own, which the table's rows already say."""
    inside: set[str] = set()
    for table in document.tables:
        pending = list(table.children)
        while pending:
            reference = pending.pop()
            inside.add(reference.cref)
            pending.extend(reference.resolve(document).children)
    return inside


def _table_text(table: TableData) -> str:
    lines: list[str] = []
    for row in table.grid:
        cells: list[str] = []
        seen: set[int] = set()
        for cell in row:
            if id(cell) not in seen:  # a cell that spans columns stands in each of them
                seen.add(id(cell))
                cells.append(" ".join(cell.text.split()))
        line = "\t".join(cells)
        if line.strip():
            lines.append(line)
    return "\n".join(lines)
