"""A person's request in the database."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import SubjectDecision, SubjectRequest, SubjectRequestItem, now
from db.queries import subject_requests
from muniment.objects import SealedBlob
from tests.conftest import TenantFixture


async def add_subject_request(
    session: AsyncSession, tenant: TenantFixture, key: SealedBlob, file_id: UUID
) -> SubjectRequest:
    """That the file was found for, and that was decided."""
    row = SubjectRequest(
        tenant_id=tenant.tenant_id,
        kind="access",
        state="exporting",
        requested_by=tenant.principal_id,
        text_key_id=key.blob_id,
        subject=b"sealed",
        keep_days=7,
        expires_at=now(),
    )
    await subject_requests.add_request(session, row, key)
    ids = {"request_id": row.id, "tenant_id": tenant.tenant_id}
    session.add_all(
        [
            SubjectRequestItem(**ids, file_id=file_id, sources=["text"], matches=1, state="found"),
            SubjectDecision(
                **ids,
                decided_by=tenant.principal_id,
                is_approved=True,
                confirmed=1,
                excluded=0,
            ),
        ]
    )
    await session.flush()
    return row
