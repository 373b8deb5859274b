"""Tenants, as one that operates sees them: by functions of the database that answer nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_COLUMNS = "id, name, is_operator, disabled_at, revision, created_at"


@dataclass(frozen=True)
class FoundTenant:
    id: UUID
    name: str
    is_operator: bool
    disabled_at: datetime | None
    revision: int
    created_at: datetime


async def operates(session: AsyncSession) -> bool:
    """Whether the transaction's tenant makes and disables others."""
    return bool(await session.scalar(text("SELECT operates()")))


async def list_tenants(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None = None
) -> Sequence[FoundTenant]:
    """Newest first."""
    at, identifier = after or (None, None)
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM tenants_before("  # noqa: S608 - a constant of this module
            "CAST(:at AS timestamptz), CAST(:id AS uuid), :limit)"
        ),
        {"at": at, "id": identifier, "limit": limit},
    )
    return [FoundTenant(*row) for row in rows]


async def find_tenant(session: AsyncSession, tenant_id: UUID) -> FoundTenant | None:
    """None as well where the transaction's own tenant operates not."""
    rows = await session.execute(
        text(f"SELECT {_COLUMNS} FROM find_tenant(:id)"),  # noqa: S608 - a constant of this module
        {"id": tenant_id},
    )
    row = rows.one_or_none()
    return None if row is None else FoundTenant(*row)


async def lock_tenant(session: AsyncSession, tenant_id: UUID) -> FoundTenant | None:
    """Nobody else changes it before the end of the transaction. None as well where the transaction's
    own tenant operates not."""
    rows = await session.execute(
        text(f"SELECT {_COLUMNS} FROM lock_tenant(:id)"),  # noqa: S608 - a constant of this module
        {"id": tenant_id},
    )
    row = rows.one_or_none()
    return None if row is None else FoundTenant(*row)


async def add_tenant(session: AsyncSession, tenant_id: UUID, name: str) -> FoundTenant | None:
    """None where the name is taken."""
    rows = await session.execute(
        text(f"SELECT {_COLUMNS} FROM add_tenant(:id, :name)"),  # noqa: S608 - a constant of this module
        {"id": tenant_id, "name": name},
    )
    row = rows.one_or_none()
    return None if row is None else FoundTenant(*row)


async def set_disabled(session: AsyncSession, tenant_id: UUID, *, disabled: bool) -> None:
    """With all its principals, whose sign-ins end; enabled again, with those who were disabled by
    this. One that operates stays as it is."""
    await session.execute(
        text("SELECT set_tenant_disabled(:id, :disabled)"),
        {"id": tenant_id, "disabled": disabled},
    )
