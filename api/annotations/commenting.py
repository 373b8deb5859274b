"""Comments below annotations: whoever may read the file may answer; what one says is its author's."""

from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.annotations import service
from api.annotations.schemas import CommentBody
from api.annotations.view import entity_tag
from api.authentication import Caller
from api.preconditions import require_match
from db.audit import record
from db.models import AnnotationComment, now
from db.queries import annotations, files
from db.queries.annotations import CommentDetail
from muniment.errors import Conflict, Forbidden, NotFound

MOST_OF_AN_ANNOTATION = 1_000


async def require_comment(
    session: AsyncSession, annotation_id: UUID, comment_id: UUID, *, for_update: bool = False
) -> CommentDetail:
    """Of an annotation that the caller was found to see."""
    found = await annotations.get_comment(session, annotation_id, comment_id, for_update=for_update)
    if found is None:
        raise NotFound("there is no such comment")
    return found


async def create(
    session: AsyncSession, caller: Caller, annotation_id: UUID, body: CommentBody
) -> CommentDetail:
    annotation = await service.lock(session, caller, annotation_id)
    if await annotations.count_comments(session, annotation_id) >= MOST_OF_AN_ANNOTATION:
        raise Conflict(
            f"the annotation has {MOST_OF_AN_ANNOTATION} comments, and may not have more",
            remedy="Make another annotation.",
        )
    made = AnnotationComment(
        tenant_id=caller.tenant_id,
        annotation_id=annotation_id,
        file_id=annotation.file_id,
        author_id=caller.principal_id,
        body=body.body,
    )
    session.add(made)
    await session.flush()
    _record(session, caller, "comment.created", made)
    return await require_comment(session, annotation_id, made.id)


async def change(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    annotation_id: UUID,
    comment_id: UUID,
    body: CommentBody,
) -> CommentDetail:
    await service.lock(session, caller, annotation_id)
    found = await require_comment(session, annotation_id, comment_id, for_update=True)
    require_match(if_match, entity_tag(found.comment))
    if found.comment.author_id != caller.principal_id:
        raise Forbidden("what a comment says is for its author to change")
    found.comment.body = body.body
    found.comment.revision += 1
    found.comment.updated_at = now()
    _record(session, caller, "comment.changed", found.comment)
    await session.flush()
    return found


async def delete(
    session: AsyncSession, caller: Caller, annotation_id: UUID, comment_id: UUID
) -> None:
    await service.lock(session, caller, annotation_id)
    comment = (await require_comment(session, annotation_id, comment_id, for_update=True)).comment
    is_author = comment.author_id == caller.principal_id
    if not is_author and not await files.is_visible(session, comment.file_id, level="manage"):
        raise Forbidden(
            "to delete another's comment needs the level manage on the file, and you have less",
            remedy="Ask its author, or whoever manages the file.",
        )
    _record(session, caller, "comment.deleted", comment)
    await session.delete(comment)
    await session.flush()


def _record(session: AsyncSession, caller: Caller, action: str, comment: AnnotationComment) -> None:
    payload: dict[str, JsonValue] = {
        "file_id": str(comment.file_id),
        "comment_id": str(comment.id),
    }
    record(session, caller.act(action, "annotation", comment.annotation_id, payload))
