"""Annotations and comments from their rows."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import JsonValue, TypeAdapter

from api.annotations.schemas import (
    Anchor,
    Annotation,
    AnnotationState,
    Author,
    Comment,
    FoundWords,
    Quote,
    Target,
)
from db.models import Annotation as AnnotationRecord
from db.models import AnnotationAnchor, AnnotationComment
from db.queries.annotations import AnnotationDetail, CommentDetail
from muniment.contracts.anchor_annotations import AnchorState
from muniment.contracts.documents import BoundingBox
from muniment.contracts.text_modes import QuotedWords
from retrieval.anchors.words import plain_words

_BOX = TypeAdapter(BoundingBox)
_BOXES = TypeAdapter(list[BoundingBox])


def annotation_view(detail: AnnotationDetail) -> Annotation:
    """Of sealed words, those that `words.opened` opened before; without the others it says so."""
    record = detail.annotation
    is_open = record.resolved_at is None
    return Annotation(
        id=record.id,
        file_id=record.file_id,
        version=detail.made_on,
        target=_target(detail),
        anchor=_anchor(detail),
        text_missing=_lacks_words(detail),
        body=record.body,
        tags=record.tags,
        colour=record.colour,
        author=_author(record.author_id, detail.author_name),
        state=AnnotationState.OPEN if is_open else AnnotationState.RESOLVED,
        resolved_by=record.resolved_by,
        resolved_at=record.resolved_at,
        comments=detail.comment_count,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def comment_view(detail: CommentDetail) -> Comment:
    record = detail.comment
    return Comment(
        id=record.id,
        annotation_id=record.annotation_id,
        file_id=record.file_id,
        author=_author(record.author_id, detail.author_name),
        body=record.body,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def entity_tag(record: AnnotationRecord | AnnotationComment) -> str:
    """Of what people change: that a worker finds it elsewhere is no change."""
    return f'"{record.revision}"'


def without_words(shown: Annotation) -> Annotation:
    """The annotation with its places, and nothing that it quotes."""
    target, anchor = shown.target, shown.anchor
    if target is not None:
        target = target.model_copy(update={"quote": None})
    return shown.model_copy(
        update={"target": target, "anchor": anchor.model_copy(update={"quote": None})}
    )


def _target(detail: AnnotationDetail) -> Target | None:
    record = detail.annotation
    if record.page is None:
        return None
    quote, words = None, _words(detail)
    if words is not None and record.start_offset is not None and record.end_offset is not None:
        quote = Quote(
            exact=words.quote,
            prefix=words.prefix,
            suffix=words.suffix,
            start=record.start_offset,
            end=record.end_offset,
        )
    return Target(
        page=record.page, region=_box(record.region), quote=quote, boxes=_boxes(record.boxes)
    )


def _anchor(detail: AnnotationDetail) -> Anchor:
    record, version = detail.annotation, detail.reading.number
    if record.page is None:
        return Anchor(version=version, state=AnchorState.EXACT)
    if detail.is_original:
        words = _words(detail)
        return Anchor(
            version=version,
            state=AnchorState.EXACT,
            score=1.0,
            page=record.page,
            region=_box(record.region),
            quote=_found_words(record, None if words is None else words.quote),
            boxes=_boxes(record.boxes),
        )
    if detail.anchor is None:
        return Anchor(version=version, state=AnchorState.PENDING)
    found = detail.anchor
    return Anchor(
        version=version,
        state=AnchorState(found.state),
        score=found.score,
        page=found.page,
        region=_box(found.region),
        quote=_found_words(found, detail.opened_found if _is_sealed(found) else found.quote),
        boxes=_boxes(found.boxes),
    )


def _words(detail: AnnotationDetail) -> QuotedWords | None:
    """None where they are sealed and could not be opened."""
    if _is_sealed(detail.annotation):
        return detail.opened_words
    return plain_words(detail.annotation)


def _is_sealed(record: AnnotationRecord | AnnotationAnchor) -> bool:
    return record.sealed_words is not None


def _lacks_words(detail: AnnotationDetail) -> bool:
    found = None if detail.is_original else detail.anchor
    lacks_found = found is not None and _is_sealed(found) and detail.opened_found is None
    return _words(detail) is None or lacks_found


def _found_words(
    record: AnnotationRecord | AnnotationAnchor, exact: str | None
) -> FoundWords | None:
    if exact is None or record.start_offset is None or record.end_offset is None:
        return None
    return FoundWords(exact=exact, start=record.start_offset, end=record.end_offset)


def _author(author_id: UUID | None, name: str | None) -> Author | None:
    return None if author_id is None else Author(id=author_id, name=name)


def _box(region: Sequence[float] | None) -> BoundingBox | None:
    return None if region is None else _BOX.validate_python(region)


def _boxes(stored: Sequence[JsonValue]) -> list[BoundingBox]:
    return _BOXES.validate_python(stored)
