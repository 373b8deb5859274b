"""Headings as context: bounded, so that they never crowd out what stands below them."""

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.text import SectionHeaderItem, TextItem, TitleItem
from docling_core.types.doc.labels import DocItemLabel

from activities.chunk.tokens import WindowTokenizer


def bound_headings(document: DoclingDocument, tokenizer: WindowTokenizer) -> None:
    """Makes plain text of every heading with which the headings above a passage would take more
    than a third of the window; its words stay in the document as a passage's text.

    A paragraph in large type that was taken for a heading would else be repeated in every chunk of
    its section, or push the section's text out of the window.
    """
    budget = tokenizer.get_max_tokens() // 3
    above: dict[int, int] = {}
    for item, _ in document.iterate_items():
        if not isinstance(item, TitleItem | SectionHeaderItem):
            continue
        level = item.level if isinstance(item, SectionHeaderItem) else 0
        above = {depth: tokens for depth, tokens in above.items() if depth < level}
        tokens = tokenizer.count_tokens(item.text)
        if sum(above.values()) + tokens > budget:
            document.texts[_position(item.self_ref)] = _as_text(item)
        else:
            above[level] = tokens


def _position(reference: str) -> int:
    """The index in `texts`, out of a JSON pointer such as `#/texts/12`."""
    return int(reference.rsplit("/", 1)[1])


def _as_text(heading: TitleItem | SectionHeaderItem) -> TextItem:
    return TextItem(
        self_ref=heading.self_ref,
        parent=heading.parent,
        children=heading.children,
        content_layer=heading.content_layer,
        label=DocItemLabel.TEXT,
        prov=heading.prov,
        orig=heading.orig,
        text=heading.text,
    )
