"""`/v1/annotations`: what people write on files; and what was done to those."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue

from muniment.client.building import (
    UNCHANGED,
    Id,
    Unchanged,
    changed,
    create,
    get,
    given,
    id_text,
    matching,
    segment,
)
from muniment.client.models import Listing, Record, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing
from muniment.client.protocol import Call
from muniment.contracts.anchor_annotations import AnchorState
from muniment.contracts.documents import BoundingBox

AnyAnchorState = Annotated[AnchorState | str, Field(union_mode="left_to_right")]


class Quote(Record):
    """Words of a page's text; `start` and `end` are code points of it."""

    exact: str
    prefix: str = ""
    suffix: str = ""
    start: int
    end: int


class Target(Record):
    """What was annotated, as it was then. Boxes are in points of the page's frame."""

    page: int
    region: BoundingBox | None = None
    quote: Quote | None = None
    boxes: Sequence[BoundingBox] = ()


class Anchor(Record):
    """Where it stands in the version: a place where `exact` or `moved`, none where `lost` or `pending`."""

    version: int
    state: AnyAnchorState
    score: float | None = None
    page: int | None = None
    region: BoundingBox | None = None
    quote: Quote | None = None
    boxes: Sequence[BoundingBox] = ()


class Author(Record):
    """`name` is None of whoever was deleted since."""

    id: UUID
    name: str | None = None


class Annotation(Tagged):
    """What somebody wrote on a file, a box of a page, or words; `target` None: on the whole file.
    `text_missing`: what it quotes is sealed and could not be opened now, so that no quote is there."""

    id: UUID
    file_id: UUID
    version: int
    target: Target | None = None
    anchor: Anchor
    text_missing: bool = False
    body: str = ""
    tags: Sequence[str] = ()
    colour: str | None = None
    author: Author | None = None
    state: str = "open"
    resolved_by: UUID | None = None
    resolved_at: datetime | None = None
    comments: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Comment(Tagged):
    """An answer below an annotation."""

    id: UUID
    annotation_id: UUID
    file_id: UUID
    author: Author | None = None
    body: str
    created_at: datetime | None = None
    updated_at: datetime | None = None


class ActivityEntry(Record):
    """What was done to a file, by whom (None: by nobody); `name` is what it is called now."""

    id: UUID
    at: datetime
    kind: str
    file_id: UUID
    name: str
    version: int | None = None
    actor: Author | None = None
    subject_id: UUID | None = None
    job_id: UUID | None = None


_PATH = "/v1/annotations"


def list_annotations(
    *,
    file_id: Id | None = None,
    version: int | None = None,
    page: int | None = None,
    author: Id | None = None,
    state: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Listing[Annotation]]:
    """Newest first, each with where it stands in the version (without one: in use)."""
    parameters = {
        "file_id": id_text(file_id),
        "version": version,
        "page": page,
        "author": id_text(author),
        "state": state,
        "limit": limit,
        "cursor": cursor,
    }
    return get(_PATH, Listing[Annotation], parameters)


def get_annotation(annotation_id: Id, *, version: int | None = None) -> Call[Annotation]:
    """With where it stands in the version (without one: in use)."""
    return get(f"{_PATH}/{segment(annotation_id)}", Annotation, {"version": version})


def create_annotation(
    file_id: Id,
    body: str = "",
    *,
    page: int | None = None,
    exact: str | None = None,
    prefix: str | None = None,
    suffix: str | None = None,
    start: int | None = None,
    region: BoundingBox | None = None,
    tags: Sequence[str] = (),
    colour: str | None = None,
) -> Call[Annotation]:
    """On words (`exact`) or a box of a page; without `page` on the whole file. Of words that stand there
    more than once, `prefix` and `suffix` or `start` say which are meant."""
    quote = given(exact=exact, prefix=prefix, suffix=suffix, start=start)
    box: list[JsonValue] | None = None if region is None else [*region]
    target = given(page=page, quote=quote or None, region=box)
    json: dict[str, JsonValue] = {"file_id": str(file_id), "body": body, "tags": [*tags]}
    return create(_PATH, Annotation, json | given(target=target or None, colour=colour))


def change_annotation(
    annotation_id: Id,
    *,
    body: str | None = None,
    tags: Sequence[str] | None = None,
    colour: str | Unchanged | None = UNCHANGED,
    etag: str | None = None,
) -> Call[Annotation]:
    """For its author. What is not named stays; None takes the colour away. With the `etag` of an
    Annotation that was read: PreconditionFailed if it has been changed since."""
    json = given(body=body, tags=None if tags is None else [*tags]) | changed(colour=colour)
    return _change(annotation_id, json, etag)


def resolve_annotation(annotation_id: Id, *, etag: str | None = None) -> Call[Annotation]:
    return _change(annotation_id, {"state": "resolved"}, etag)


def reopen_annotation(annotation_id: Id, *, etag: str | None = None) -> Call[Annotation]:
    return _change(annotation_id, {"state": "open"}, etag)


def _change(annotation_id: Id, json: dict[str, JsonValue], etag: str | None) -> Call[Annotation]:
    return Call(
        "PATCH",
        f"{_PATH}/{segment(annotation_id)}",
        read_model(Annotation),
        json=json,
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_annotation(annotation_id: Id) -> Call[None]:
    """With its comments, for good."""
    return Call("DELETE", f"{_PATH}/{segment(annotation_id)}", read_nothing)


def list_comments(
    annotation_id: Id, *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Comment]]:
    """Newest first."""
    parameters = {"limit": limit, "cursor": cursor}
    return get(f"{_PATH}/{segment(annotation_id)}/comments", Listing[Comment], parameters)


def get_comment(annotation_id: Id, comment_id: Id) -> Call[Comment]:
    return get(f"{_PATH}/{segment(annotation_id)}/comments/{segment(comment_id)}", Comment)


def create_comment(annotation_id: Id, body: str) -> Call[Comment]:
    return create(f"{_PATH}/{segment(annotation_id)}/comments", Comment, {"body": body})


def change_comment(
    annotation_id: Id, comment_id: Id, body: str, *, etag: str | None = None
) -> Call[Comment]:
    """For its author. With the `etag` of a Comment that was read: PreconditionFailed if it has been
    changed since."""
    return Call(
        "PATCH",
        f"{_PATH}/{segment(annotation_id)}/comments/{segment(comment_id)}",
        read_model(Comment),
        json={"body": body},
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_comment(annotation_id: Id, comment_id: Id) -> Call[None]:
    return Call(
        "DELETE", f"{_PATH}/{segment(annotation_id)}/comments/{segment(comment_id)}", read_nothing
    )


def list_activity(
    file_id: Id | None = None,
    *,
    kind: str | None = None,
    actor: Id | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Listing[ActivityEntry]]:
    """Newest first, of the file or of all that the key may read."""
    path = "/v1/activity" if file_id is None else f"/v1/files/{segment(file_id)}/activity"
    parameters = {"kind": kind, "actor": id_text(actor), "limit": limit, "cursor": cursor}
    return get(path, Listing[ActivityEntry], parameters)


class AnnotationOperations:
    """`/v1/annotations`."""

    list = Operation(list_annotations)
    get = Operation(get_annotation)
    create = Operation(create_annotation)
    change = Operation(change_annotation)
    resolve = Operation(resolve_annotation)
    reopen = Operation(reopen_annotation)
    delete = Operation(delete_annotation)
    comments = Operation(list_comments)
    comment = Operation(get_comment)
    answer = Operation(create_comment)
    change_comment = Operation(change_comment)
    delete_comment = Operation(delete_comment)
    activity = Operation(list_activity)


class Annotations(AnnotationOperations, Resource):
    """`/v1/annotations`: what people write on files; and what was done to those."""


class AsyncAnnotations(AnnotationOperations, AsyncResource):
    """`/v1/annotations`: what people write on files; and what was done to those."""
