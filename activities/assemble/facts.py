"""What is said of a document as a whole, out of all its pages."""

from collections.abc import Mapping

from activities.assemble.calls import TextFacts
from activities.assemble.language import language_of
from muniment.contracts.documents import DocumentPlan, HiddenKind, Page


def facts_of(pages: Mapping[int, Page], plan: DocumentPlan) -> TextFacts:
    """The text's own language is not asked for where the document declares one."""
    hidden = [{text.kind for text in page.hidden} for page in pages.values() if page.hidden]
    kinds = set[HiddenKind]().union(*hidden)
    in_order = [pages[number] for number in sorted(pages)]
    return TextFacts(
        language=language_of(in_order, plan.media_type) if plan.language is None else None,
        hidden_page_count=len(hidden),
        hidden_kinds=tuple(kind for kind in HiddenKind if kind in kinds),
    )
