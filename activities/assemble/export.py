"""Markdown and plain text out of a DoclingDocument."""

from collections.abc import Iterator

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.picture.picture import PictureItem
from docling_core.types.doc.items.table.table import TableItem
from docling_core.types.doc.items.table.table_data import TableData
from docling_core.types.doc.items.text import ListItem, SectionHeaderItem, TextItem

READ_LAYERS = {ContentLayer.BODY, ContentLayer.NOTES}
"""Running heads and feet are furniture: they repeat what is no part of the text."""


def to_markdown(document: str) -> str:
    """Markdown of a DoclingDocument given as JSON; pictures become a comment."""
    markdown: str = DoclingDocument.model_validate_json(document).export_to_markdown()
    return markdown


def to_text(document: str) -> str:
    """Plain text of a DoclingDocument given as JSON: an item per paragraph, a row per line."""
    return document_text(DoclingDocument.model_validate_json(document))


def document_text(document: DoclingDocument, page: int | None = None) -> str:
    """Plain text of the whole document or of one of its pages."""
    return "\n".join(text for text in _texts(document, page) if text.strip())


def _texts(document: DoclingDocument, page: int | None) -> Iterator[str]:
    in_tables = _texts_of_table_cells(document)
    for item, _ in document.iterate_items(
        page_no=page, included_content_layers=READ_LAYERS, traverse_pictures=True
    ):
        if isinstance(item, TableItem):
            yield _table_text(item.data)
        elif isinstance(item, PictureItem):
            if item.meta is not None and item.meta.tabular_chart is not None:
                yield _table_text(item.meta.tabular_chart.chart_data)
        elif isinstance(item, ListItem):
            yield f"{item.marker} {item.text}".strip() if item.enumerated else item.text
        elif isinstance(item, SectionHeaderItem | TextItem) and item.self_ref not in in_tables:
            yield item.text


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
