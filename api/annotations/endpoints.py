"""`/v1/annotations`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from api.annotations import service
from api.annotations.schemas import (
    Annotation,
    AnnotationChange,
    AnnotationState,
    NewAnnotation,
)
from api.annotations.view import annotation_view, entity_tag, without_words
from api.annotations.words import opened
from api.authentication import Caller, require
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Page,
    TimeCursor,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.preconditions import IfMatch
from api.problem_responses import problems
from api.services import Provided
from db.queries.annotations import AnnotationDetail, AnnotationFilter, looked_up_to

router = APIRouter(prefix="/v1/annotations", tags=["annotations"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Annotator = Annotated[Caller, Depends(require("annotations:write"))]
Version = Annotated[
    int | None,
    Query(
        ge=1,
        le=2**31 - 1,
        description="Where they stand in that version; without it in the one in use.",
    ),
]
PageFilter = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="That stand on this page of the version.")
]


@router.get(
    "", summary="List annotations, newest first", responses=problems(400, 404, 409, 410, 422)
)
async def list_annotations(
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    file_id: Annotated[UUID | None, Query(description="On this file.")] = None,
    version: Version = None,
    page: PageFilter = None,
    author: Annotated[UUID | None, Query(description="By this principal.")] = None,
    state: AnnotationState | None = None,
) -> Page[Annotation]:
    """Of the files that the caller may read. Each says where it stands in the version: `exact`, `moved`
    with how alike the words are, `lost`, or `pending`; what it was made on stays beside it. Annotations
    that were made on a later version are left out. A page may be empty and have a `next_cursor`. Where what
    is quoted is sealed and cannot be opened now, `quote` is null and `text_missing` says so."""
    place = decode_cursor(TimeCursor, cursor)
    is_resolved = None if state is None else state is AnnotationState.RESOLVED
    wanted = AnnotationFilter(file_id, version, page, author, is_resolved)
    after = place.key() if place else None
    async with services.database.transaction(caller.access) as session:
        rows = await service.list_annotations(session, caller, wanted, limit=limit + 1, after=after)
        is_full = len(rows) > limit
        place_after = None if is_full else await looked_up_to(session, wanted, after)
    shown, last = cut(rows, limit)
    if last is not None:
        place_after = (last.annotation.created_at, last.annotation.id)
    following = None
    if place_after is not None:
        following = encode_cursor(TimeCursor(at=place_after[0], id=place_after[1]))
    readable = await opened(services.texts, shown)
    return Page(data=[annotation_view(each) for each in readable], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Annotate a file, a box of a page, or words",
    response_model=Annotation,
    responses=problems(404, 409, 410, 422),
)
async def create_annotation(
    body: NewAnnotation, request: Request, services: Provided, caller: Annotator
) -> Response:
    """On the version in use, for whoever may read the file; needs `files:read` too. Words must stand on
    the page, once; their offsets and boxes are filled in. When a new version is published, or this one is
    read anew, the annotation is looked for in that. In a collection with `encrypted_text` a repetition with
    the same `Idempotency-Key` is answered without the quote."""
    service.require_reading(caller)
    async with idempotent(request, caller, services.database) as attempt:
        if attempt.is_repetition:
            # The answer quotes the file: who may not see it now is not told again.
            async with services.database.transaction(caller.access) as session:
                await service.require_shown(session, caller, body.file_id)
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        wanted = await service.proven(services, caller, body)
        async with services.database.transaction(caller.access) as session:
            made = await service.create(session, caller, body, wanted)
            view = annotation_view(made)
            location = f"/v1/annotations/{made.annotation.id}"
            kept = view if wanted.text_key is None else without_words(view)
            await attempt.complete(session, Answer(201, kept.model_dump(mode="json"), location))
    return json_answer(Answer(201, view.model_dump(mode="json"), location))


@router.get(
    "/{annotation_id}",
    summary="Show an annotation",
    response_model=Annotation,
    responses=problems(404, 409, 410),
)
async def show_annotation(
    annotation_id: UUID, services: Provided, caller: Reader, version: Version = None
) -> Response:
    """The ETag is for `If-Match` on PATCH."""
    async with services.database.transaction(caller.access) as session:
        found = await service.require_annotation(session, caller, annotation_id, version)
        service.record_reading(session, caller, found.annotation.file_id, 1)
    (readable,) = await opened(services.texts, [found])
    return _tagged(readable)


@router.patch(
    "/{annotation_id}",
    summary="Change, resolve or reopen an annotation",
    response_model=Annotation,
    responses=problems(404, 409, 410, 412, 422),
)
async def change_annotation(
    annotation_id: UUID,
    body: AnnotationChange,
    services: Provided,
    caller: Annotator,
    if_match: IfMatch = None,
) -> Response:
    """Text, tags and colour by its author; resolved and reopened by its author and by whoever may write
    the file."""
    service.require_reading(caller)
    async with services.database.transaction(caller.access) as session:
        changed = await service.change(session, caller, if_match, annotation_id, body)
    # After the commit: keys are not waited for while others wait for the file's row.
    (readable,) = await opened(services.texts, [changed])
    return _tagged(readable)


@router.delete(
    "/{annotation_id}",
    status_code=204,
    summary="Delete an annotation with its comments",
    responses=problems(404, 409, 410),
)
async def delete_annotation(annotation_id: UUID, services: Provided, caller: Annotator) -> None:
    """By its author, and by whoever manages the file. For good."""
    service.require_reading(caller)
    async with services.database.transaction(caller.access) as session:
        await service.delete(session, caller, annotation_id)


def _tagged(found: AnnotationDetail) -> Response:
    view = annotation_view(found).model_dump(mode="json")
    return JSONResponse(view, headers={"ETag": entity_tag(found.annotation)})
