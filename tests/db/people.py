"""Rows of whoever comes in, for tests that need some of every kind."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.models import (
    AccessGrant,
    BearerToken,
    ExternalIdentity,
    GroupMember,
    Invitation,
    InvitationGroup,
    Principal,
    PrincipalGroup,
    PrincipalPassword,
    SignIn,
    StreamTicket,
    new_id,
    now,
)
from tests.conftest import TenantFixture


async def add_people(session: AsyncSession, tenant: TenantFixture, file_id: UUID) -> None:
    """One who signed in and was granted something, one who was disabled, two who were deleted, and an
    invitation."""
    person, disabled, *deleted = [
        Principal(
            tenant_id=tenant.tenant_id,
            kind="user",
            name=str(new_id()),
            disabled_at=now() if number else None,
            deleted_at=now() if number > 1 else None,
        )
        for number in range(4)
    ]
    session.add_all([person, disabled, *deleted])
    await session.flush()
    sign_in = SignIn(tenant_id=tenant.tenant_id, principal_id=person.id)
    session.add(sign_in)
    await session.flush()
    hashed = new_id().bytes
    session.add_all(
        [
            PrincipalPassword(
                principal_id=person.id, tenant_id=tenant.tenant_id, password_hash="$argon2id$"
            ),
            BearerToken(
                token_hash=hashed,
                tenant_id=tenant.tenant_id,
                sign_in_id=sign_in.id,
                kind="access",
            ),
            BearerToken(
                token_hash=new_id().bytes,
                tenant_id=tenant.tenant_id,
                sign_in_id=sign_in.id,
                kind="session",
            ),
            StreamTicket(ticket_hash=hashed, tenant_id=tenant.tenant_id, sign_in_id=sign_in.id),
            StreamTicket(
                ticket_hash=new_id().bytes,
                tenant_id=tenant.tenant_id,
                principal_id=person.id,
                scopes=["search"],
                ends_at=now(),
                identity_hash=hashed,
            ),
            ExternalIdentity(
                tenant_id=tenant.tenant_id,
                identity_hash=hashed,
                principal_id=person.id,
                issuer="https://login.example.org",
                subject="ada",
            ),
            AccessGrant(
                tenant_id=tenant.tenant_id,
                principal_id=person.id,
                file_id=file_id,
                level="read",
            ),
        ]
    )
    group = PrincipalGroup(tenant_id=tenant.tenant_id, name=str(new_id()))
    session.add(group)
    await session.flush()
    invitation = Invitation(
        tenant_id=tenant.tenant_id,
        created_by=person.id,
        name="ada@example.org",
        token_hash=hashed,
        principal_id=person.id,
    )
    session.add_all(
        [
            GroupMember(
                tenant_id=tenant.tenant_id,
                group_id=group.id,
                principal_id=person.id,
                from_issuer=True,
            ),
            invitation,
        ]
    )
    await session.flush()
    session.add(
        InvitationGroup(invitation_id=invitation.id, group_id=group.id, tenant_id=tenant.tenant_id)
    )
    await session.flush()
