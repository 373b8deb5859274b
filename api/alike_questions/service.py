"""Shown and set."""

from sqlalchemy.ext.asyncio import AsyncSession

from api.alike_questions.schemas import AlikeQuestionPolicy
from api.authentication import Caller
from api.preconditions import require_match
from db.audit import record
from db.models import AlikeQuestionPolicy as Row
from db.models import now
from db.queries import alike_questions
from muniment.errors import Forbidden

UNSET = '"0"'
"""The entity tag where nothing was ever set."""


def require_administrator(caller: Caller) -> None:
    """What everybody is answered by is for administrators alone. Raises Forbidden."""
    if not caller.is_admin:
        raise Forbidden(
            "which questions are alike is for the tenant's administrators",
            remedy="Ask an administrator of the tenant.",
        )


def entity_tag(policy: Row | None) -> str:
    return UNSET if policy is None else f'"{policy.revision}"'


def policy_view(policy: Row | None) -> AlikeQuestionPolicy:
    return AlikeQuestionPolicy(least_likeness=policy.least_likeness if policy else None)


async def set_policy(
    session: AsyncSession, caller: Caller, if_match: str | None, least_likeness: float | None
) -> Row:
    """Where none is alike any more, what served only that is forgotten. Raises PreconditionFailed."""
    policy = await alike_questions.lock_policy(session)
    require_match(if_match, entity_tag(policy))
    if policy is None:
        policy = Row(tenant_id=caller.tenant_id, least_likeness=least_likeness)
        session.add(policy)
    else:
        policy.least_likeness = least_likeness
        policy.revision, policy.updated_at = policy.revision + 1, now()
    await session.flush()
    if least_likeness is None:
        await alike_questions.forget_vectors(session)
    payload = {"least_likeness": least_likeness}
    act = caller.act("alike_questions.policy_set", "tenant", caller.tenant_id, {**payload})
    record(session, act)
    return policy
