"""Annotations that are to be found in another reading, and where they were found."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import and_, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Annotation, AnnotationAnchor, File, FileVersion
from db.queries.stages import UNTOUCHED_STATES
from muniment.contracts.base import VersionReference

_ROWS_PER_STATEMENT = 200


async def is_annotated(session: AsyncSession, file_id: UUID) -> bool:
    """Whether something of the file's pages is annotated."""
    found = await session.execute(
        text("SELECT EXISTS (SELECT 1 FROM annotation WHERE file_id = :id AND page IS NOT NULL)"),
        {"id": file_id},
    )
    return bool(found.scalar_one())


async def published_reading(
    session: AsyncSession, version: VersionReference, *, locked: bool = False
) -> FileVersion | None:
    """The version as it is published now; None when it is not, or its file is being erased. `locked`:
    neither changes before the end of the transaction."""
    if locked:
        # A statement of its own: the next one sees what was published while the lock was waited for.
        await session.execute(
            select(col(File.id)).where(col(File.id) == version.file_id).with_for_update(read=True)
        )
    statement = (
        select(FileVersion)
        .join(File, col(File.id) == col(FileVersion.file_id))
        .where(
            col(FileVersion.id) == version.version_id,
            col(FileVersion.published_at).is_not(None),
            col(File.state).not_in(UNTOUCHED_STATES),
        )
    )
    return (await session.scalars(statement)).one_or_none()


async def annotations_to_anchor(
    session: AsyncSession, reading: FileVersion, method: int, *, limit: int
) -> Sequence[Annotation]:
    """Those made on the version or an earlier one, and not on this reading, that were not looked for in
    it by the method; the newest first."""
    made_on = select(col(FileVersion.id)).where(
        col(FileVersion.file_id) == reading.file_id, col(FileVersion.number) <= reading.number
    )
    anchored = and_(
        col(AnnotationAnchor.annotation_id) == col(Annotation.id),
        col(AnnotationAnchor.version_id) == reading.id,
        col(AnnotationAnchor.reading_id).is_not_distinct_from(reading.document_blob_id),
        col(AnnotationAnchor.method) == method,
    )
    statement = (
        select(Annotation)
        .where(
            col(Annotation.file_id) == reading.file_id,
            col(Annotation.page).is_not(None),
            col(Annotation.version_id).in_(made_on),
            or_(
                col(Annotation.version_id) != reading.id,
                col(Annotation.reading_id).is_distinct_from(reading.document_blob_id),
            ),
            ~select(col(AnnotationAnchor.annotation_id)).where(anchored).exists(),
        )
        .order_by(col(Annotation.created_at).desc(), col(Annotation.id).desc())
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def write_anchors(session: AsyncSession, anchors: Sequence[AnnotationAnchor]) -> None:
    """In place of those of an earlier reading of the version; an annotation that was deleted meanwhile
    has none."""
    there = await session.scalars(
        select(col(Annotation.id))
        .where(col(Annotation.id).in_([anchor.annotation_id for anchor in anchors]))
        .order_by(col(Annotation.id))
        .with_for_update(read=True, key_share=True)
    )
    kept = set(there)
    rows = [anchor.model_dump() for anchor in anchors if anchor.annotation_id in kept]
    for first in range(0, len(rows), _ROWS_PER_STATEMENT):
        statement = insert(AnnotationAnchor).values(rows[first : first + _ROWS_PER_STATEMENT])
        replaced = {
            name: statement.excluded[name]
            for name in AnnotationAnchor.model_fields
            if name not in ("annotation_id", "version_id", "tenant_id")
        }
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=["annotation_id", "version_id"], set_=replaced
            )
        )
