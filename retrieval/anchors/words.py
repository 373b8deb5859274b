"""The words in rows of annotations and their anchors: in the clear, or sealed where the collection has
its text sealed."""

from uuid import UUID

from db.models import Annotation, AnnotationAnchor
from muniment.contracts.text_modes import QuotedWords
from muniment.objects import SealedText
from muniment.objects.sealed_texts import anchor_place, quote_place
from muniment.sealing import TextKey


def plain_words(record: Annotation) -> QuotedWords:
    """Of an annotation whose words are not sealed."""
    return QuotedWords(quote=record.quote, prefix=record.prefix, suffix=record.suffix)


def write_quoted_words(
    record: Annotation, words: QuotedWords, key: TextKey | None, key_id: UUID | None
) -> None:
    """In the clear without a key; else `key_id` is the key's blob."""
    if key is None:
        record.quote, record.prefix, record.suffix = words.quote, words.prefix, words.suffix
        return
    place = quote_place(record.tenant_id, record.id)
    record.sealed_words = key.seal(words.model_dump_json().encode(), place)
    record.text_key_id = key_id


def write_found_words(
    anchor: AnnotationAnchor, quote: str, key: TextKey | None, key_id: UUID | None
) -> None:
    """In the clear without a key; else `key_id` is the key's blob."""
    if key is None:
        anchor.quote = quote
        return
    place = anchor_place(anchor.tenant_id, anchor.annotation_id, anchor.version_id)
    anchor.sealed_words = key.seal(QuotedWords(quote=quote).model_dump_json().encode(), place)
    anchor.text_key_id = key_id


def sealed_quote(record: Annotation) -> SealedText | None:
    """None where the words are in the clear."""
    if record.text_key_id is None or record.sealed_words is None:
        return None
    place = quote_place(record.tenant_id, record.id)
    return SealedText(record.tenant_id, record.text_key_id, place, record.sealed_words)


def sealed_found_words(anchor: AnnotationAnchor) -> SealedText | None:
    """None where the words are in the clear."""
    if anchor.text_key_id is None or anchor.sealed_words is None:
        return None
    place = anchor_place(anchor.tenant_id, anchor.annotation_id, anchor.version_id)
    return SealedText(anchor.tenant_id, anchor.text_key_id, place, anchor.sealed_words)
