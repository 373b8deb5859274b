"""Annotations of files that the caller may read, each with where it stands in one version."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from db.models import (
    Annotation,
    AnnotationAnchor,
    AnnotationComment,
    File,
    FileVersion,
    Principal,
)
from db.queries.files import OUT_OF_SIGHT, has_level
from muniment.contracts.jobs import FileState
from muniment.contracts.text_modes import QuotedWords

HELD_BACK = (
    *OUT_OF_SIGHT,
    FileState.QUARANTINED,
    FileState.REJECTED,
)
"""Files of these states show no content to most, and so nothing that is written about it."""
MOST_LOOKED_THROUGH = 10_000
"""Annotations for one page of a list: whoever may see few of many does not keep the database busy."""


@dataclass(frozen=True)
class AnnotationFilter:
    """Which annotations to list; None means any. `version`: of `file_id`, where each stands in it; without
    it in the version that is in use."""

    file_id: UUID | None = None
    version: int | None = None
    page: int | None = None
    author_id: UUID | None = None
    is_resolved: bool | None = None


@dataclass(frozen=True)
class AnnotationDetail:
    """An annotation with all that its representation needs. `anchor` is where it was found in the
    `reading`; None where it was not looked for yet, or was made on it. `opened_…` are the words of both
    once somebody opened them; None of sealed ones that could not be."""

    annotation: Annotation
    made_on: int
    reading: FileVersion
    anchor: AnnotationAnchor | None
    author_name: str | None
    comment_count: int
    opened_words: QuotedWords | None = None
    opened_found: str | None = None

    @property
    def is_original(self) -> bool:
        """Whether the reading is the very one that it was made on."""
        return (
            self.annotation.version_id == self.reading.id
            and self.annotation.reading_id == self.reading.document_blob_id
        )


async def list_annotations(
    session: AsyncSession,
    wanted: AnnotationFilter,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> list[AnnotationDetail]:
    """Newest first; none that was made on a later version. Of the next MOST_LOOKED_THROUGH only:
    `looked_up_to` says where to go on."""
    conditions = _matching(wanted)
    if wanted.file_id is None:
        conditions.append(col(File.state).not_in(HELD_BACK))
    looked_at = (
        _looked_at(wanted, after).limit(MOST_LOOKED_THROUGH).cte().prefix_with("MATERIALIZED")
    )
    conditions.append(col(Annotation.id).in_(select(looked_at.c.id)))
    return await _details(session, wanted.version, conditions, limit)


async def looked_up_to(
    session: AsyncSession, wanted: AnnotationFilter, after: tuple[datetime, UUID] | None
) -> tuple[datetime, UUID] | None:
    """The last one that `list_annotations` looks at; None when it comes to the end."""
    last = _looked_at(wanted, after).offset(MOST_LOOKED_THROUGH - 1).limit(1)
    row = (await session.execute(last)).one_or_none()
    return None if row is None else (row.created_at, row.id)


def _looked_at(
    wanted: AnnotationFilter, after: tuple[datetime, UUID] | None
) -> Select[UUID, datetime]:
    """In the order of an index, whatever the caller may see of them."""
    statement = select(col(Annotation.id), col(Annotation.created_at)).order_by(
        col(Annotation.created_at).desc(), col(Annotation.id).desc()
    )
    if wanted.file_id is not None:
        statement = statement.where(col(Annotation.file_id) == wanted.file_id)
    if wanted.author_id is not None:
        statement = statement.where(col(Annotation.author_id) == wanted.author_id)
    if after is not None:
        statement = statement.where(tuple_(col(Annotation.created_at), col(Annotation.id)) < after)
    return statement


async def get_annotation(
    session: AsyncSession, annotation_id: UUID, version: int | None = None
) -> AnnotationDetail | None:
    """None where there is none, or the caller may not read its file, or it was made on a later version."""
    found = await _details(session, version, [col(Annotation.id) == annotation_id], 1)
    return found[0] if found else None


async def lock_annotation(session: AsyncSession, annotation_id: UUID) -> Annotation | None:
    """To be changed, as it is now; the caller was found to see it."""
    statement = (
        select(Annotation)
        .where(col(Annotation.id) == annotation_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(statement)).one_or_none()


async def count_annotations(session: AsyncSession, file_id: UUID) -> int:
    statement = (
        select(func.count()).select_from(Annotation).where(col(Annotation.file_id) == file_id)
    )
    return int((await session.scalars(statement)).one())


async def _details(
    session: AsyncSession,
    version: int | None,
    conditions: Sequence[ColumnElement[bool]],
    limit: int,
) -> list[AnnotationDetail]:
    made_on = aliased(FileVersion)
    comments = (
        select(func.count())
        .select_from(AnnotationComment)
        .where(col(AnnotationComment.annotation_id) == col(Annotation.id))
        .scalar_subquery()
    )
    statement = (
        select(
            Annotation,
            col(made_on.number),
            FileVersion,
            AnnotationAnchor,
            col(Principal.name),
            comments,
        )
        .join(File, col(File.id) == col(Annotation.file_id))
        .join(made_on, col(made_on.id) == col(Annotation.version_id))
        .join(
            FileVersion,
            and_(
                col(FileVersion.file_id) == col(File.id),
                col(FileVersion.number)
                == (col(File.current_version) if version is None else version),
            ),
        )
        .outerjoin(AnnotationAnchor, _is_anchor())
        .outerjoin(
            Principal,
            and_(
                col(Principal.id) == col(Annotation.author_id), col(Principal.deleted_at).is_(None)
            ),
        )
        .where(
            has_level(col(Annotation.file_id), "read"),
            col(made_on.number) <= col(FileVersion.number),
            *conditions,
        )
        .order_by(col(Annotation.created_at).desc(), col(Annotation.id).desc())
        .limit(limit)
    )
    rows = await session.execute(statement)
    return [AnnotationDetail(*row) for row in rows]


def _is_anchor() -> ColumnElement[bool]:
    """Of the very reading: what was found in an earlier one of the version says nothing of this."""
    return and_(
        col(AnnotationAnchor.annotation_id) == col(Annotation.id),
        col(AnnotationAnchor.version_id) == col(FileVersion.id),
        col(AnnotationAnchor.reading_id).is_not_distinct_from(col(FileVersion.document_blob_id)),
    )


def _matching(wanted: AnnotationFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.is_resolved is not None:
        resolved = col(Annotation.resolved_at).is_not(None)
        conditions.append(resolved if wanted.is_resolved else ~resolved)
    if wanted.page is not None:
        is_original = and_(
            col(Annotation.version_id) == col(FileVersion.id),
            col(Annotation.reading_id).is_not_distinct_from(col(FileVersion.document_blob_id)),
        )
        conditions.append(
            case(
                (is_original, col(Annotation.page)),
                else_=col(AnnotationAnchor.page),
            )
            == wanted.page
        )
    return conditions


# ── comments ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class CommentDetail:
    """A comment, and what its author is called (None: was deleted)."""

    comment: AnnotationComment
    author_name: str | None


async def list_comments(
    session: AsyncSession,
    annotation_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> list[CommentDetail]:
    """Newest first, of an annotation that the caller was found to see."""
    statement = (
        _comments()
        .where(col(AnnotationComment.annotation_id) == annotation_id)
        .order_by(col(AnnotationComment.created_at).desc(), col(AnnotationComment.id).desc())
        .limit(limit)
    )
    if after is not None:
        key = tuple_(col(AnnotationComment.created_at), col(AnnotationComment.id))
        statement = statement.where(key < after)
    return [CommentDetail(*row) for row in await session.execute(statement)]


async def get_comment(
    session: AsyncSession, annotation_id: UUID, comment_id: UUID, *, for_update: bool = False
) -> CommentDetail | None:
    """Of an annotation that the caller was found to see."""
    statement = _comments().where(
        col(AnnotationComment.annotation_id) == annotation_id,
        col(AnnotationComment.id) == comment_id,
    )
    if for_update:
        statement = statement.with_for_update(of=AnnotationComment)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else CommentDetail(*row)


async def count_comments(session: AsyncSession, annotation_id: UUID) -> int:
    statement = (
        select(func.count())
        .select_from(AnnotationComment)
        .where(col(AnnotationComment.annotation_id) == annotation_id)
    )
    return int((await session.scalars(statement)).one())


def _comments() -> Select[AnnotationComment, str]:
    return select(AnnotationComment, col(Principal.name)).outerjoin(
        Principal,
        and_(
            col(Principal.id) == col(AnnotationComment.author_id),
            col(Principal.deleted_at).is_(None),
        ),
    )
