"""One document out of those that a pipeline of models made of single pages."""

from collections.abc import Mapping, Sequence

from docling_core.types.doc.base import Size
from docling_core.types.doc.document import DoclingDocument

from activities.assemble.levels import settle_levels
from muniment.contracts.documents import OutlineEntry, Page
from muniment.errors import EngineError


def joined(
    pages: Mapping[int, Page], structures: Mapping[int, str], outline: Sequence[OutlineEntry]
) -> DoclingDocument:
    """The pages' documents behind one another, each on its own page; pages that were not read are
    left out. EngineError where a page was read and has no document: rules do not stand in for the
    pipeline that was chosen."""
    if not pages:
        return DoclingDocument(name="document")
    lacking = sorted(set(pages) - set(structures))
    if lacking:
        raise EngineError(f"docling's pipeline gave no structure of page {lacking[0]}.")
    parts = [
        DoclingDocument.model_validate_json(structures[number])
        if number in pages
        else _without_content()
        for number in range(1, max(pages) + 1)
    ]
    document: DoclingDocument = DoclingDocument.concatenate(parts)
    for number in set(document.pages) - set(pages):
        del document.pages[number]
    settle_levels(document, outline)
    return document


def _without_content() -> DoclingDocument:
    """Keeps the numbers of the pages after it right: concatenation counts them."""
    empty = DoclingDocument(name="page")
    empty.add_page(page_no=1, size=Size(width=0, height=0))
    return empty
