"""Findings: what a version's are, and who may see where they stand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Row, Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import File, FileVersion, FindingRow, new_id
from db.queries.files import OUT_OF_SIGHT, has_level
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import Finding, FindingKind
from muniment.contracts.findings import FindingAct

MOST_LOOKED_THROUGH = 10_000
"""Findings for one page of a list: whoever may see few of many does not keep the database busy."""


@dataclass(frozen=True)
class JudgedFinding:
    """A finding, the strictest that the policies ask for of it, and the token that stands for it."""

    finding: Finding
    act: FindingAct = FindingAct.RECORD
    token: str | None = None


@dataclass(frozen=True)
class FindingFilter:
    """Which findings to list; None means any."""

    file_id: UUID | None = None
    version: int | None = None
    kind: FindingKind | None = None
    entity: str | None = None
    act: FindingAct | None = None
    token: str | None = None


@dataclass(frozen=True)
class FindingDetail:
    """A finding, and the version of the file that it is in."""

    row: FindingRow
    file_id: UUID
    version: int


async def replace_findings(
    session: AsyncSession, version: VersionReference, findings: Sequence[JudgedFinding]
) -> None:
    """The version's findings are these."""
    await session.execute(
        text("DELETE FROM finding WHERE version_id = :version_id"),
        {"version_id": version.version_id},
    )
    rows = [
        {
            "id": str(new_id()),
            **judged.finding.model_dump(mode="json"),
            "act": judged.act,
            "token": judged.token,
        }
        for judged in findings
    ]
    await session.execute(
        text(
            """
            INSERT INTO finding (id, tenant_id, version_id, kind, entity, page, start_offset,
                                 end_offset, score, recogniser, recogniser_version, boxes, act, token)
            SELECT item.id, :tenant_id, :version_id, item.kind, item.entity, item.page,
                   item.start, item."end", item.score, item.recogniser, item.recogniser_version,
                   item.boxes, item.act, item.token
            FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS item(
                id uuid, kind text, entity text, page int, start int, "end" int, score float8,
                recogniser text, recogniser_version text, boxes jsonb, act text, token text)
            """
        ),
        {
            "tenant_id": version.tenant_id,
            "version_id": version.version_id,
            "rows": json.dumps(rows),
        },
    )


async def is_published(session: AsyncSession, version: VersionReference) -> bool:
    """Whether the version was, so that its findings are of what readers see."""
    published = select(col(FileVersion.published_at)).where(
        col(FileVersion.id) == version.version_id
    )
    return await session.scalar(published) is not None


async def list_findings(
    session: AsyncSession, wanted: FindingFilter, *, limit: int, after: UUID | None = None
) -> list[FindingDetail]:
    """Of files that the caller may read, newest first. Looks through
    the next MOST_LOOKED_THROUGH only: `looked_up_to` says where to go on."""
    looked_at = _matching(wanted, after).limit(MOST_LOOKED_THROUGH).subquery()
    statement = (
        _details()
        .join(looked_at, looked_at.c.id == col(FindingRow.id))
        .where(has_level(col(File.id), "read"))
        .order_by(col(FindingRow.id).desc())
        .limit(limit)
    )
    return [_detail(row) for row in (await session.execute(statement)).all()]


async def looked_up_to(
    session: AsyncSession, wanted: FindingFilter, after: UUID | None
) -> UUID | None:
    """The last finding that `list_findings` looked at, where there are more behind it."""
    statement = _matching(wanted, after).offset(MOST_LOOKED_THROUGH - 1).limit(1)
    return (await session.scalars(statement)).first()


async def get_finding(session: AsyncSession, finding_id: UUID) -> FindingDetail | None:
    """None where the caller may not read its file."""
    statement = _details().where(
        col(FindingRow.id) == finding_id,
        has_level(col(File.id), "read"),
        col(File.state).not_in(OUT_OF_SIGHT),
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _detail(row)


async def tokens_of_pages(
    session: AsyncSession, version_id: UUID, first_page: int, last_page: int
) -> Sequence[FindingRow]:
    """The masked findings on these pages, in order of place."""
    statement = (
        select(FindingRow)
        .where(
            col(FindingRow.version_id) == version_id,
            col(FindingRow.page).between(first_page, last_page),
            col(FindingRow.token).is_not(None),
        )
        .order_by(col(FindingRow.page), col(FindingRow.start_offset))
    )
    return (await session.scalars(statement)).all()


def _details() -> "Select[FindingRow, UUID, int]":
    return (
        select(FindingRow, col(File.id), col(FileVersion.number))
        .join(FileVersion, col(FileVersion.id) == col(FindingRow.version_id))
        .join(File, col(File.id) == col(FileVersion.file_id))
    )


def _detail(row: "Row[FindingRow, UUID, int]") -> FindingDetail:
    finding, file_id, version = row
    return FindingDetail(finding, file_id, version)


def _matching(wanted: FindingFilter, after: UUID | None) -> "Select[UUID]":
    statement = (
        select(col(FindingRow.id))
        .join(FileVersion, col(FileVersion.id) == col(FindingRow.version_id))
        .join(File, col(File.id) == col(FileVersion.file_id))
        .where(col(File.state).not_in(OUT_OF_SIGHT))
        .order_by(col(FindingRow.id).desc())
    )
    if wanted.version is not None:
        statement = statement.where(col(FileVersion.number) == wanted.version)
    if wanted.file_id is not None:
        statement = statement.where(col(File.id) == wanted.file_id)
    if wanted.kind is not None:
        statement = statement.where(col(FindingRow.kind) == wanted.kind)
    if wanted.entity is not None:
        statement = statement.where(col(FindingRow.entity) == wanted.entity)
    if wanted.act is not None:
        statement = statement.where(col(FindingRow.act) == wanted.act)
    if wanted.token is not None:
        statement = statement.where(col(FindingRow.token) == wanted.token)
    return statement if after is None else statement.where(col(FindingRow.id) < after)
