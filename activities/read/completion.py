"""Brings into a document's text what docling's backends keep outside it: notes and sheets' names.

Run before `settle_provenance`, which gives what is added here its page where it has none.
"""

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.node import DocItem
from docling_core.types.doc.labels import DocItemLabel, GroupLabel

from activities.read.provenance import place_nowhere


def complete(document: DoclingDocument) -> None:
    """Changes the document in place."""
    _bring_notes_into_body(document)
    _head_sheets_with_names(document)


def _bring_notes_into_body(document: DoclingDocument) -> None:
    """Footnotes and endnotes are said once, unlike the running heads they are kept with."""
    for item in document.texts:
        if item.label is DocItemLabel.FOOTNOTE and item.content_layer is ContentLayer.FURNITURE:
            item.content_layer = ContentLayer.BODY


def _head_sheets_with_names(document: DoclingDocument) -> None:
    """A sheet's name is often all that says what its numbers are."""
    for group in list(document.groups):
        if group.label is not GroupLabel.SHEET or not group.name.strip() or not group.children:
            continue
        first = group.children[0].resolve(document)
        if not isinstance(first, DocItem):
            continue
        name = group.name.strip()
        place = [place_nowhere(item.page_no, len(name)) for item in first.prov[:1]]
        document.insert_heading(
            first,
            name,
            prov=place[0] if place else None,
            content_layer=first.content_layer,
            after=False,
        )
