"""Takes unseen characters out of a structured document, and tells of what nobody sees in it."""

from collections.abc import Iterator, Sequence

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.node import DocItem
from docling_core.types.doc.items.table.table_data import TableData
from docling_core.types.doc.labels import DocItemLabel

from activities.read.cleaning import LONGEST_HIDDEN_TEXT
from activities.read.provenance import NOWHERE, place_nowhere
from activities.read.unseen_characters import without_unseen
from muniment.contracts.documents import MOST_HIDDEN_TEXTS, HiddenKind, HiddenText

HiddenByPage = dict[int, list[HiddenText]]


def take_out_unseen(document: DoclingDocument) -> HiddenByPage:
    """Changes the document in place, after `settle_provenance`; what was taken out, and texts that
    the format itself hides, by page."""
    hidden: HiddenByPage = {}
    off_page = _set_off_page_apart(document)
    for item in document.texts:
        item.text, message = _seen(item.text)
        item.orig, _ = _seen(item.orig)
        if message:
            item.prov[0].charspan = (0, len(item.text))
        page = item.prov[0].page_no
        _note(hidden, page, HiddenKind.UNSEEN_CHARACTERS, message)
        if item.content_layer is ContentLayer.INVISIBLE:
            is_off_page = item.self_ref in off_page
            kind = HiddenKind.OFF_PAGE if is_off_page else HiddenKind.INVISIBLE
            _note(hidden, page, kind, item.text)
    for table in document.tables:
        if table.content_layer is ContentLayer.INVISIBLE:
            texts = (cell.text.strip() for cell in table.data.table_cells)
            text = " ".join(text for text in texts if text)
            _note(hidden, table.prov[0].page_no, HiddenKind.INVISIBLE, text)
    for page, data in _tables(document):
        for cell in data.table_cells:
            cell.text, message = _seen(cell.text)
            _note(hidden, page, HiddenKind.UNSEEN_CHARACTERS, message)
    return hidden


def _set_off_page_apart(document: DoclingDocument) -> set[str]:
    """Shapes beside a slide are seen by its authors only: the references of what is in them."""
    apart = set()
    for item in (*document.texts, *document.tables, *document.pictures):
        if _is_off_page(document, item):
            item.content_layer = ContentLayer.INVISIBLE
            item.prov[0].bbox = NOWHERE
            apart.add(item.self_ref)
    return apart


def _is_off_page(document: DoclingDocument, item: DocItem) -> bool:
    place = item.prov[0]
    page = document.pages.get(place.page_no)
    if page is None or page.size.width <= 0 or place.bbox == NOWHERE:
        return False
    return (
        place.bbox.r <= 0
        or place.bbox.b <= 0
        or place.bbox.l >= page.size.width
        or place.bbox.t >= page.size.height
    )


def add_unseen(document: DoclingDocument, texts: Sequence[str], page: int | None = None) -> None:
    """Puts texts that the format hides into the document, for `take_out_unseen` to tell of: at its
    end, in the layer that nothing reads."""
    for text in texts:
        document.add_text(
            label=DocItemLabel.TEXT,
            text=text,
            content_layer=ContentLayer.INVISIBLE,
            prov=None if page is None else place_nowhere(page, len(text)),
        )


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
