"""Files and versions as a caller may see them; every look-up goes through `visible_files`."""

from collections.abc import Collection as Container
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlmodel import col

from db.models import Blob, Collection, File, FileVersion, Job
from db.queries.jobs import newest_job
from muniment.contracts.jobs import FileState
from muniment.contracts.move_tier import Tier

DetailSelect = Select[File, str | None, FileVersion | None, str | None, Job | None]

OUT_OF_SIGHT = (
    FileState.TRASHED,
    FileState.RESTRICTED,
    FileState.ERASING,
    FileState.ERASED,
)
"""States that a list leaves out unless they are asked for."""
TO_BE_ERASED = (FileState.RESTRICTED, FileState.ERASING)
"""From the moment an erasure is accepted nothing tells what the file was."""


_NEWEST_JOB = newest_job(col(File.id))
_DETAILED: DetailSelect = (
    select(File, col(Collection.name), FileVersion, col(Blob.tier), _NEWEST_JOB)
    .outerjoin(Collection, col(Collection.id) == col(File.collection_id))
    .outerjoin(
        FileVersion,
        and_(
            col(FileVersion.file_id) == col(File.id),
            col(FileVersion.number) == col(File.current_version),
        ),
    )
    .outerjoin(Blob, col(Blob.id) == col(FileVersion.blob_id))
    .outerjoin(_NEWEST_JOB, true())
)
"""Files with all that a FileDetail says of them, a row each. Made once: it takes longer to be made than to
be sent."""


@dataclass(frozen=True)
class FileDetail:
    """A file with all that its representation needs; `collection_name` is None where the file was erased
    and its collection deleted, `version` is the one that readers see, `tier`
    where its content is known to lie, `job` the newest of the file."""

    file: File
    collection_name: str | None
    version: FileVersion | None
    tier: Tier
    job: Job | None


@dataclass(frozen=True)
class FileFilter:
    """Which files to list; None and empty mean any. `attributes` are compared as text; of
    `absent_attributes` a file has none."""

    name_contains: str | None = None
    states: tuple[str, ...] = ()
    media_type: str | None = None
    collection_id: UUID | None = None
    label: str | None = None
    parent_id: UUID | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    absent_attributes: tuple[str, ...] = ()

    @property
    def describes(self) -> bool:
        """Whether it asks for what only the file itself tells."""
        return bool(
            self.name_contains
            or self.media_type
            or self.label
            or self.parent_id
            or self.attributes
            or self.absent_attributes
        )


@dataclass(frozen=True)
class FileOrder:
    """One of `created_at`, `updated_at`, `name`; ties go by id."""

    by: str = "created_at"
    descending: bool = True


@cache
def visible(level: str) -> ColumnElement[bool]:
    """Whether the caller has the level (`read`, `write`, `manage`) on a file. Made once, as all that every
    request asks: it takes longer to be made than to be sent."""
    ids = func.visible_files(level).column_valued("visible_file")
    return col(File.id).in_(select(ids))


def has_level(file_id: Mapped[UUID] | Mapped[UUID | None], level: str) -> ColumnElement[bool]:
    """Whether the caller has the level on the file that a row names. Asked for each row, since all that
    the caller may read may be a million."""
    ids = func.visible_files(level).column_valued("visible_file")
    return select(ids).where(ids == file_id).exists()


async def list_files(
    session: AsyncSession,
    wanted: FileFilter,
    order: FileOrder,
    *,
    limit: int,
    after: tuple[datetime | str, UUID] | None = None,
) -> list[FileDetail]:
    """A page of what the caller may read, starting behind `after` (sort value, id)."""
    sort_column = {"created_at": File.created_at, "updated_at": File.updated_at, "name": File.name}
    key, ties = col(sort_column[order.by]), col(File.id)
    ordering = (key.desc(), ties.desc()) if order.descending else (key.asc(), ties.asc())
    page = _filtered(select(col(File.id)).where(visible("read")), wanted).order_by(*ordering)
    if order.by == "name" or wanted.describes:
        # Where it stands among the others, or that it is found, would tell it.
        page = page.where(col(File.state).not_in(TO_BE_ERASED))
    if after is not None:
        position = tuple_(key, ties)
        page = page.where(position < after if order.descending else position > after)
    # The page by itself, so that no more is joined to files than it has: it must not become one of each
    # file around it, which SQLAlchemy makes of it where it selects from more than files.
    alone = page.limit(limit).correlate(None).scalar_subquery()
    shown = _DETAILED.where(col(File.id).in_(alone))
    return await _details(session, shown.order_by(*ordering))


def _filtered(statement: Select[UUID], wanted: FileFilter) -> Select[UUID]:
    conditions: list[ColumnElement[bool]] = [
        col(File.attributes)[name].astext == value for name, value in wanted.attributes.items()
    ]
    conditions += [~col(File.attributes).has_key(name) for name in wanted.absent_attributes]  # type: ignore[attr-defined] # JSONB's own
    if wanted.states:
        conditions.append(col(File.state).in_(wanted.states))
    else:
        conditions.append(col(File.state).not_in(OUT_OF_SIGHT))
    if wanted.name_contains is not None:
        conditions.append(col(File.name).icontains(wanted.name_contains, autoescape=True))
    if wanted.media_type is not None:
        conditions.append(col(File.media_type) == wanted.media_type)
    if wanted.collection_id is not None:
        conditions.append(col(File.collection_id) == wanted.collection_id)
    if wanted.parent_id is not None:
        conditions.append(col(File.parent_id) == wanted.parent_id)
    if wanted.label is not None:
        conditions.append(col(File.labels).contains([wanted.label]))
    if wanted.created_from is not None:
        conditions.append(col(File.created_at) >= wanted.created_from)
    if wanted.created_until is not None:
        conditions.append(col(File.created_at) < wanted.created_until)
    return statement.where(*conditions)


async def get_file(
    session: AsyncSession, file_id: UUID, *, level: str = "read", for_update: bool = False
) -> FileDetail | None:
    """None when there is no such file, or the caller lacks the level on it."""
    if for_update:
        # By itself: beside the row that it waited for, a statement sees what was there before it waited.
        locked = (
            select(File).where(col(File.id) == file_id, visible(level)).with_for_update(of=File)
        )
        if (await session.scalars(locked)).one_or_none() is None:
            return None
    found = await _details(session, _one_file(level), {"file_id": file_id})
    return found[0] if found else None


@cache
def _one_file(level: str) -> DetailSelect:
    return _DETAILED.where(col(File.id) == bindparam("file_id"), visible(level))


async def lock_files(session: AsyncSession, file_ids: Container[UUID]) -> None:
    """Files that the caller was found to see, by the order of their ids until the transaction ends."""
    statement = select(col(File.id)).where(col(File.id).in_(file_ids)).order_by(col(File.id))
    await session.execute(statement.with_for_update(of=File))


async def get_files(session: AsyncSession, file_ids: Container[UUID]) -> dict[UUID, FileDetail]:
    """Those of the files that the caller may read, in one statement however many there are."""
    statement = _DETAILED.where(col(File.id).in_(file_ids), visible("read"))
    return {detail.file.id: detail for detail in await _details(session, statement)}


async def is_visible(session: AsyncSession, file_id: UUID, *, level: str = "read") -> bool:
    found = await session.scalars(
        select(col(File.id)).where(col(File.id) == file_id, visible(level))
    )
    return found.one_or_none() is not None


async def get_version(session: AsyncSession, file_id: UUID, number: int) -> FileVersion | None:
    """A version of a file that the caller was already found to see."""
    statement = select(FileVersion).where(
        col(FileVersion.file_id) == file_id, col(FileVersion.number) == number
    )
    return (await session.scalars(statement)).one_or_none()


async def get_versions(
    session: AsyncSession, wanted: Container[tuple[UUID, int]]
) -> dict[tuple[UUID, int], FileVersion]:
    """Versions by file and number, of files that the caller was already found to see."""
    statement = select(FileVersion).where(
        tuple_(col(FileVersion.file_id), col(FileVersion.number)).in_(wanted)
    )
    found = (await session.scalars(statement)).all()
    return {(version.file_id, version.number): version for version in found}


async def list_versions(
    session: AsyncSession, file_id: UUID, *, limit: int, before_number: int | None = None
) -> Sequence[FileVersion]:
    """Newest first."""
    statement = (
        select(FileVersion)
        .where(col(FileVersion.file_id) == file_id)
        .order_by(col(FileVersion.number).desc())
        .limit(limit)
    )
    if before_number is not None:
        statement = statement.where(col(FileVersion.number) < before_number)
    return (await session.scalars(statement)).all()


async def newest_version(session: AsyncSession, file_id: UUID) -> FileVersion:
    """The version with the highest number, published or not; every file has one."""
    return (await list_versions(session, file_id, limit=1))[0]


async def _details(
    session: AsyncSession, statement: DetailSelect, values: Mapping[str, UUID] | None = None
) -> list[FileDetail]:
    rows = await session.execute(statement, values)
    return [
        FileDetail(file, name, version, Tier.HOT if tier is None else Tier(tier), job)
        for file, name, version, tier, job in rows
    ]


async def version_numbers(session: AsyncSession, version_ids: set[UUID]) -> dict[UUID, int]:
    """The numbers of versions whose jobs or files the caller was already found to see."""
    if not version_ids:
        return {}
    rows = await session.execute(
        select(col(FileVersion.id), col(FileVersion.number)).where(
            col(FileVersion.id).in_(version_ids)
        )
    )
    return {row[0]: row[1] for row in rows}


async def version_by_id(session: AsyncSession, version_id: UUID) -> FileVersion:
    """A version of a file that the caller was already found to see; it is there."""
    found = await session.scalars(select(FileVersion).where(col(FileVersion.id) == version_id))
    return found.one()
