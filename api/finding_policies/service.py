"""Policies for findings: making one, and taking it away."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.collections.service import require_collection
from api.finding_policies.schemas import NewFindingPolicy
from db.audit import record
from db.models import FindingPolicy
from db.queries import finding_policies
from db.queries.finding_policies import MAX_POLICIES
from muniment.contracts.documents import MASKABLE_KINDS
from muniment.contracts.findings import FindingAct
from muniment.errors import Conflict, Forbidden, NotFound, Unprocessable


async def add_policy(
    session: AsyncSession, caller: Caller, body: NewFindingPolicy, *, may_mask: bool
) -> FindingPolicy:
    """Raises Unprocessable for masking where the operator does not let it, Forbidden, NotFound for a
    collection that is not the caller's to see, and Conflict beyond the greatest number."""
    await _require_rights(session, caller, body.collection_id)
    if body.act is FindingAct.MASK and not may_mask:
        raise Unprocessable(
            "findings are not masked here",
            errors=[{"field": "act", "detail": "`mask` is switched off"}],
            remedy="Use `review` or `refuse`, or have MUNIMENT_FINDINGS__MASKING set; read what it lacks.",
        )
    if body.act is FindingAct.MASK and body.kind not in {None, *MASKABLE_KINDS}:
        raise Unprocessable(
            "what is hidden, and what speaks to machines, has no value that a token could stand for",
            errors=[{"field": "act", "detail": "`mask` is not for findings of this kind"}],
            remedy="Use `review` or `refuse`.",
        )
    if await finding_policies.count_policies(session, caller.tenant_id) >= MAX_POLICIES:
        raise Conflict(
            f"the tenant has {MAX_POLICIES} finding policies, which is the most",
            remedy="Delete those that others make needless.",
        )
    policy = FindingPolicy(
        tenant_id=caller.tenant_id,
        collection_id=body.collection_id,
        kind=body.kind,
        entity=body.entity,
        minimum_score=body.minimum_confidence,
        act=body.act,
        created_by=caller.principal_id,
    )
    session.add(policy)
    await session.flush()
    payload = body.model_dump(mode="json", exclude_none=True)
    record(session, caller.act("finding_policy.created", "finding_policy", policy.id, payload))
    return policy


async def require_policy(
    session: AsyncSession, policy_id: UUID, *, for_update: bool = False
) -> FindingPolicy:
    found = await finding_policies.get_policy(session, policy_id, for_update=for_update)
    if found is None:
        raise NotFound("there is no such finding policy")
    return found


async def drop_policy(session: AsyncSession, caller: Caller, policy_id: UUID) -> None:
    """What was judged by it stays as it was judged."""
    policy = await require_policy(session, policy_id, for_update=True)
    await _require_rights(session, caller, policy.collection_id)
    await session.delete(policy)
    payload = {"act": policy.act}
    record(session, caller.act("finding_policy.deleted", "finding_policy", policy_id, payload))


async def _require_rights(
    session: AsyncSession, caller: Caller, collection_id: UUID | None
) -> None:
    if collection_id is not None:
        await require_collection(session, collection_id, "manage", for_update=True)
    elif not caller.is_admin:
        raise Forbidden(
            "only an administrator makes the tenant's finding policies",
            remedy="Make one for a collection that you manage, or ask an administrator.",
        )
