"""Tier policies: setting one, and taking it away."""

from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.preconditions import require_match
from api.tier_policies.schemas import WantedTierPolicy
from db.audit import record
from db.models import TierPolicy
from db.queries import tier_policies
from db.queries.tier_policies import ColdPolicy, RuleSource, TierRule
from muniment.errors import Conflict, Forbidden, NotFound

UNSET = '"0"'
"""The entity tag where nothing is set."""


def require_administrator(caller: Caller) -> None:
    """The tenant's own policy is the administrators' to set. Raises Forbidden."""
    if not caller.is_admin:
        raise Forbidden(
            "only an administrator sets the tenant's tier policy",
            remedy="Set that of a collection that you manage, or ask an administrator.",
        )


def entity_tag(policy: TierPolicy | None) -> str:
    return UNSET if policy is None else f'"{policy.revision}"'


async def tenant_rule(
    session: AsyncSession, installation: ColdPolicy | None
) -> tuple[TierRule, TierPolicy | None]:
    """What holds where no collection has a policy of its own, and the tenant's, if it has one."""
    policy = await tier_policies.get_policy(session, None)
    if policy is not None:
        return TierRule(RuleSource.TENANT, policy.after_days, policy.min_bytes), policy
    if installation is None:
        return TierRule(RuleSource.INSTALLATION, None, 0), None
    days = installation.min_age.total_seconds() / 86_400
    return TierRule(RuleSource.INSTALLATION, days, installation.min_bytes), None


async def set_policy(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    collection_id: UUID | None,
    wanted: WantedTierPolicy,
) -> TierPolicy:
    """Raises PreconditionFailed, and Conflict where somebody else set the first one in this moment."""
    policy = await tier_policies.get_policy(session, collection_id, for_update=True)
    require_match(if_match, entity_tag(policy))
    if policy is None:
        policy = TierPolicy(tenant_id=caller.tenant_id, collection_id=collection_id)
        session.add(policy)
    else:
        policy.revision += 1
    policy.after_days, policy.min_bytes = wanted.after_days, wanted.min_bytes
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict("somebody else has just set this policy") from error
    payload: dict[str, JsonValue] = {**wanted.model_dump(mode="json")}
    _record(session, caller, "tier_policy.set", collection_id, payload)
    return policy


async def drop_policy(session: AsyncSession, caller: Caller, collection_id: UUID | None) -> None:
    """Raises NotFound where nothing is set."""
    if not await tier_policies.drop_policy(session, collection_id):
        raise NotFound("no tier policy is set here")
    _record(session, caller, "tier_policy.deleted", collection_id, {})


def _record(
    session: AsyncSession,
    caller: Caller,
    action: str,
    collection_id: UUID | None,
    payload: dict[str, JsonValue],
) -> None:
    kind, id_ = (
        ("tenant", caller.tenant_id) if collection_id is None else ("collection", collection_id)
    )
    record(session, caller.act(action, kind, id_, payload))
