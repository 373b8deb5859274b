"""Synonyms: reading the list, and setting it."""

import hashlib

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.preconditions import require_match
from api.synonyms.schemas import SynonymList, SynonymRule
from db.audit import record
from db.queries import synonyms
from muniment.errors import Forbidden


async def read_list(session: AsyncSession) -> SynonymList:
    rules = await synonyms.list_rules(session)
    return SynonymList(rules=tuple(SynonymRule(words=each.words, also=each.also) for each in rules))


def entity_tag(rules: SynonymList) -> str:
    digest = hashlib.sha256(rules.model_dump_json().encode()).hexdigest()
    return f'"{digest[:32]}"'


async def set_list(
    session: AsyncSession, caller: Caller, if_match: str | None, wanted: SynonymList
) -> None:
    """Raises Forbidden, and PreconditionFailed where the list is another by now. What the words are is the
    tenant's and is not in the audit trail."""
    if not caller.is_admin:
        raise Forbidden(
            "only an administrator sets the tenant's synonyms",
            remedy="Ask an administrator of the tenant.",
        )
    await synonyms.lock_rules(session)
    require_match(if_match, entity_tag(await read_list(session)))
    await synonyms.replace_rules(
        session, [synonyms.SynonymRule(rule.words, rule.also) for rule in wanted.rules]
    )
    act = caller.act("synonyms.set", "tenant", caller.tenant_id, {"rules": len(wanted.rules)})
    record(session, act)
