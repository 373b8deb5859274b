"""Files that came out of other files: archives' members and messages' attachments."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from db.models import File, FileVersion, Job
from db.queries.files import visible
from muniment.contracts.jobs import JobKind


@dataclass(frozen=True)
class Container:
    """Where a file stands among those that it came out of. `depth` is 0 for what was uploaded;
    `descendants` and `descendant_bytes` count all that came out of `root_id` so far, as it came: later
    versions of a member are uploads of their own."""

    root_id: UUID
    depth: int
    descendants: int
    descendant_bytes: int


async def container_of(session: AsyncSession, file_id: UUID) -> Container:
    """The place of a file that is there."""
    rows = await session.execute(
        text(
            """
            WITH RECURSIVE lineage AS (
                SELECT id, parent_id, 0 AS depth FROM file WHERE id = :file_id
                UNION ALL
                SELECT file.id, file.parent_id, lineage.depth + 1
                FROM file JOIN lineage ON file.id = lineage.parent_id
            ), root AS (
                SELECT id, depth FROM lineage ORDER BY depth DESC LIMIT 1
            )
            SELECT root.id, root.depth, count(file.id) AS descendants,
                   coalesce(sum(file_version.size), 0) AS descendant_bytes
            FROM root
            LEFT JOIN file ON file.root_id = root.id
            LEFT JOIN file_version ON file_version.file_id = file.id AND file_version.number = 1
            GROUP BY root.id, root.depth
            """
        ),
        {"file_id": file_id},
    )
    row = rows.mappings().one()
    return Container(row["id"], row["depth"], row["descendants"], int(row["descendant_bytes"]))


@dataclass(frozen=True)
class KnownMembers:
    """What came out of one version itself, not out of archives in it; bytes as they came."""

    ordinals: frozenset[int]
    size_bytes: int


async def known_members(session: AsyncSession, version_id: UUID) -> KnownMembers:
    """Members of the version that are files already."""
    found = await session.execute(
        select(col(File.member_ordinal), col(FileVersion.size))
        .join(FileVersion, col(FileVersion.file_id) == col(File.id))
        .where(col(File.parent_version_id) == version_id, col(FileVersion.number) == 1)
    )
    sizes = {ordinal: size for ordinal, size in found if ordinal is not None}
    return KnownMembers(frozenset(sizes), sum(sizes.values()))


async def lock_file(session: AsyncSession, file_id: UUID) -> File:
    """The file's row, locked: it is neither trashed nor erased before the transaction ends."""
    found = await session.scalars(
        select(File).where(col(File.id) == file_id).with_for_update(of=File)
    )
    return found.one()


@dataclass(frozen=True)
class Member:
    """A member with its newest version and its newest ingestion."""

    file: File
    version: FileVersion
    job: Job | None


async def find_member(session: AsyncSession, version_id: UUID, ordinal: int) -> Member | None:
    """The member, its row locked; None where there is none of that ordinal."""
    files = await session.scalars(
        select(File)
        .where(col(File.parent_version_id) == version_id, col(File.member_ordinal) == ordinal)
        .with_for_update(of=File)
    )
    file = files.one_or_none()
    if file is None:
        return None
    versions = await session.scalars(
        select(FileVersion)
        .where(col(FileVersion.file_id) == file.id)
        .order_by(col(FileVersion.number).desc())
        .limit(1)
    )
    jobs = await session.scalars(
        select(Job)
        .where(col(Job.file_id) == file.id, col(Job.kind) == JobKind.INGEST_FILE.value)
        .order_by(col(Job.created_at).desc(), col(Job.id).desc())
        .limit(1)
    )
    return Member(file, versions.one(), jobs.one_or_none())


async def awaits_its_container(session: AsyncSession, job_id: UUID) -> bool:
    """Whether Temporal has yet to begin the job, which is a member's ingestion, while one of its
    container is not over: that one starts it, however long it has to wait for a worker."""
    container_job = aliased(Job)
    found = await session.scalar(
        select(col(Job.id))
        .join(File, col(File.id) == col(Job.file_id))
        .join(container_job, col(container_job.version_id) == col(File.parent_version_id))
        .where(
            col(Job.id) == job_id,
            col(Job.kind) == JobKind.INGEST_FILE.value,
            col(Job.run_id).is_(None),
            col(container_job.kind) == JobKind.INGEST_FILE.value,
            col(container_job.finished_at).is_(None),
        )
        .limit(1)
    )
    return found is not None


async def lock_descendants(session: AsyncSession, file_id: UUID, level: str) -> list[File]:
    """All that came out of the file, whose own row the caller has locked, and out of that, in the
    order of their ids; locked. What was moved to where the caller lacks the level is left out.

    While a row is waited for, its owner may add a member to it: so they are looked for again until
    none is new, which is at most once for each level of archives in archives."""
    looked_at = set[UUID]()
    locked: list[File] = []
    while new := await _descendants(session, file_id) - looked_at:
        found = await session.scalars(
            select(File)
            .where(col(File.id).in_(new), visible(level))
            .order_by(col(File.id))
            .with_for_update(of=File)
        )
        locked += found
        looked_at |= new
    return sorted(locked, key=lambda file: file.id)


async def _descendants(session: AsyncSession, file_id: UUID) -> set[UUID]:
    rows = await session.execute(
        text(
            """
            WITH RECURSIVE below AS (
                SELECT id FROM file WHERE parent_id = :file_id
                UNION ALL
                SELECT file.id FROM file JOIN below ON file.parent_id = below.id
            )
            SELECT id FROM below
            """
        ),
        {"file_id": file_id},
    )
    return set(rows.scalars())
