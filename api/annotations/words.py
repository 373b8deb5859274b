"""Opens the words of annotations whose collection has its text sealed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import structlog

from db.queries.annotations import AnnotationDetail
from muniment.contracts.text_modes import QuotedWords
from muniment.errors import MunimentError
from muniment.objects import SealedTexts
from retrieval.anchors.words import sealed_found_words, sealed_quote

_log = structlog.get_logger(__name__)


async def opened(texts: SealedTexts, details: Sequence[AnnotationDetail]) -> list[AnnotationDetail]:
    """With their words, those in the clear as they were. What cannot be opened, for want of its key or for
    good, stays closed, so that the others are shown. The rows stay as they are: nothing of it goes back
    into the database. For outside of transactions: keys may be waited for."""
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
    words = await texts.try_quotes([*quotes.values(), *found.values()])
    of_quotes = _legible(quotes, words[: len(quotes)])
    of_found = _legible(found, words[len(quotes) :])
    return [_with_words(detail, of_quotes, of_found) for detail in details]


def _legible(
    sealed: Iterable[UUID], words: Sequence[QuotedWords | MunimentError]
) -> dict[UUID, QuotedWords]:
    legible: dict[UUID, QuotedWords] = {}
    for annotation_id, said in zip(sealed, words, strict=True):
        if isinstance(said, QuotedWords):
            legible[annotation_id] = said
        else:
            _log.warning("quote_not_unsealed", reason=said.problem)
    return legible


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
