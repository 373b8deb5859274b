"""Takes unseen characters out of a structured document, and tells of what nobody sees in it."""

from collections.abc import Iterator

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.table.table_data import TableData

from activities.read.cleaning import LONGEST_HIDDEN_TEXT, MOST_HIDDEN_TEXTS
from activities.read.unseen_characters import without_unseen
from muniment.contracts.documents import HiddenKind, HiddenText

HiddenByPage = dict[int, list[HiddenText]]


def take_out_unseen(document: DoclingDocument) -> HiddenByPage:
    """Changes the document in place, after `settle_provenance`; what was taken out, and texts that
    the format itself hides, by page."""
    hidden: HiddenByPage = {}
    for item in document.texts:
        item.text, message = _seen(item.text)
        item.orig, _ = _seen(item.orig)
        if message:
            item.prov[0].charspan = (0, len(item.text))
        page = item.prov[0].page_no
        _note(hidden, page, HiddenKind.UNSEEN_CHARACTERS, message)
        if item.content_layer is ContentLayer.INVISIBLE:
            _note(hidden, page, HiddenKind.INVISIBLE, item.text)
    for page, data in _tables(document):
        for cell in data.table_cells:
            cell.text, message = _seen(cell.text)
            _note(hidden, page, HiddenKind.UNSEEN_CHARACTERS, message)
    return hidden


def _tables(document: DoclingDocument) -> Iterator[tuple[int, TableData]]:
    for table in document.tables:
        yield table.prov[0].page_no, table.data
    for picture in document.pictures:
        if picture.meta is not None and picture.meta.tabular_chart is not None:
            yield picture.prov[0].page_no, picture.meta.tabular_chart.chart_data


def _seen(text: str) -> tuple[str, str]:
    return (text, "") if text.isascii() else without_unseen(text)


def _note(hidden: HiddenByPage, page: int, kind: HiddenKind, text: str) -> None:
    texts = hidden.setdefault(page, [])
    if text.strip() and len(texts) < MOST_HIDDEN_TEXTS:
        texts.append(HiddenText(kind=kind, text=text[:LONGEST_HIDDEN_TEXT]))
