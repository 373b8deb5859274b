"""A legal hold in the database."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import LegalHold, LegalHoldCustodian, LegalHoldFile, LegalHoldItem
from tests.conftest import TenantFixture


async def add_hold(session: AsyncSession, tenant: TenantFixture, file_id: UUID) -> LegalHold:
    """Of the file, with a custodian."""
    hold = LegalHold(
        tenant_id=tenant.tenant_id,
        matter="A-17",
        placed_by=tenant.principal_id,
        cooling_off_days=0,
        reminder_days=7,
        review_days=1,
    )
    session.add(hold)
    await session.flush()
    item = LegalHoldItem(
        tenant_id=tenant.tenant_id,
        hold_id=hold.id,
        kind="file",
        file_id=file_id,
        added_by=tenant.principal_id,
    )
    session.add(item)
    await session.flush()
    ids = {"hold_id": hold.id, "tenant_id": tenant.tenant_id}
    session.add_all(
        [
            LegalHoldFile(**ids, file_id=file_id, item_id=item.id),
            LegalHoldCustodian(**ids, principal_id=tenant.principal_id),
        ]
    )
    await session.flush()
    return hold
