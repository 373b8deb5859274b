"""Opens the words of annotations whose collection has its text sealed."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from db.queries.annotations import AnnotationDetail
from muniment.contracts.text_modes import QuotedWords
from muniment.objects import SealedTexts
from retrieval.anchors.words import sealed_found_words, sealed_quote


async def opened(texts: SealedTexts, details: Sequence[AnnotationDetail]) -> list[AnnotationDetail]:
    """With their words, those in the clear as they were. The rows stay as they are: nothing of it goes
    back into the database. Raises what SealedTexts.quotes raises."""
    quotes = {
        detail.annotation.id: sealed
        for detail in details
        if (sealed := sealed_quote(detail.annotation)) is not None
    }
    found = {
        detail.annotation.id: sealed
        for detail in details
        if detail.anchor is not None and (sealed := sealed_found_words(detail.anchor)) is not None
    }
    words = await texts.quotes([*quotes.values(), *found.values()])
    of_quotes = dict(zip(quotes, words[: len(quotes)], strict=True))
    of_found = dict(zip(found, words[len(quotes) :], strict=True))
    return [_with_words(detail, of_quotes, of_found) for detail in details]


def _with_words(
    detail: AnnotationDetail,
    quotes: dict[UUID, QuotedWords],
    found: dict[UUID, QuotedWords],
) -> AnnotationDetail:
    annotation_id = detail.annotation.id
    at_anchor = found.get(annotation_id)
    return replace(
        detail,
        opened_words=quotes.get(annotation_id),
        opened_found=None if at_anchor is None else at_anchor.quote,
    )
