"""Language models: what they are, pausing one, and letting it go on."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.models.schemas import LanguageModel, LanguageModels, ModelState, Tokens
from db.audit import record
from db.queries import language_models
from db.queries.language_models import Pause
from db.queries.token_budgets import standing_of
from muniment.errors import Conflict, Forbidden, NotFound
from retrieval.answer_permit import Permits
from retrieval.language_models.model import Model


async def list_models(session: AsyncSession, permits: Permits) -> LanguageModels:
    pauses = await language_models.pauses(session)
    standing = await standing_of(session, permits.monthly_tokens)
    return LanguageModels(
        data=[_view(permits, model, pauses) for model in permits.gateway.models],
        tokens=Tokens(
            used=standing.used,
            reserved=standing.reserved,
            limit=standing.limit,
            resets_at=standing.resets_at,
        ),
    )


async def pause(
    session: AsyncSession, caller: Caller, permits: Permits, name: str
) -> LanguageModel:
    """From the commit on no question goes to it, nor one that another model failed to answer; what it is
    saying goes on. Raises Forbidden,
    and NotFound."""
    model = _require(caller, permits, name)
    if await language_models.pause(session, caller.tenant_id, name, caller.principal_id):
        record(session, caller.act("model.paused", "model", None, {"model": name}))
    return _view(permits, model, await language_models.pauses(session))


async def resume(
    session: AsyncSession, caller: Caller, permits: Permits, name: str
) -> LanguageModel:
    """Raises Conflict where the operator paused it for everybody."""
    model = _require(caller, permits, name)
    if await language_models.resume(session, name):
        record(session, caller.act("model.resumed", "model", None, {"model": name}))
    pauses = await language_models.pauses(session)
    if any(each.model == name for each in pauses):
        raise Conflict(
            "the operator paused this model for every tenant",
            remedy="Ask the operator; until then other models answer, or the documents' own sentences.",
        )
    return _view(permits, model, pauses)


def _require(caller: Caller, permits: Permits, name: str) -> Model:
    if not caller.is_admin:
        raise Forbidden("only an administrator pauses a language model, or lets it go on")
    for model in permits.gateway.models:
        if model.name == name:
            return model
    raise NotFound("there is no such language model")


def _view(permits: Permits, model: Model, pauses: Sequence[Pause]) -> LanguageModel:
    """The operator's pause is told before the tenant's own."""
    own = sorted(
        (each for each in pauses if each.model == model.name), key=lambda each: not each.by_operator
    )
    state = ModelState.AVAILABLE
    if own:
        state = ModelState.PAUSED
    elif permits.gateway.is_resting(model):
        state = ModelState.RESTING
    return LanguageModel(
        name=model.name,
        model=model.model,
        local=model.is_local,
        context_tokens=model.context_tokens,
        state=state,
        paused_at=own[0].paused_at if own else None,
        paused_by_operator=bool(own) and own[0].by_operator,
    )
