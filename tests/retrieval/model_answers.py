"""Answers by models of the test server, over published passages."""

from collections.abc import Callable, Sequence
from uuid import UUID

from pydantic import JsonValue, SecretStr

from db.queries.token_budgets import TokenStanding, standing_of
from db.session import Database
from muniment.embedding import Embedder
from muniment.objects import SealedTexts
from retrieval.answer import Answerer
from retrieval.answer_permit import Permits
from retrieval.language_models.gateway import Gateway
from retrieval.language_models.model import Model
from retrieval.language_models.prompting import AnswerPrompt
from retrieval.request import QuestionRequest
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.model_process import ModelServer
from tests.retrieval.published import Passage

QUESTION = "Who paid for the harbour cranes?"
ASKED = QuestionRequest(query=QUESTION)
FIRST = "The storm of 1854 destroyed the quay"
PAID = "The harbour cranes were paid for by the widow Van der Meer"
PASSAGES = (
    Passage(f"{PAID}. They still stand.", pages=(1,)),
    Passage("The cranes of the harbour were repaired in 1901. It took two years.", pages=(2,)),
)
PAGES = {1: PASSAGES[0].text, 2: PASSAGES[1].text}
SECRET = "sk-secret-of-the-provider"

Answering = Callable[..., tuple[Answerer, Permits]]
"""What makes answers of the models that are given, by settings of `permits_of`."""


async def page_text(file_id: UUID, version: int, page: int) -> str | None:
    return PAGES.get(page)


def model(
    server: ModelServer,
    behaviour: str,
    *,
    name: str | None = None,
    is_local: bool = True,
    first_token_seconds: float = 5.0,
    total_seconds: float = 10.0,
    context_tokens: int = 8_192,
    request: dict[str, JsonValue] | None = None,
) -> Model:
    return Model(
        name=name or behaviour.partition("@")[0],
        model=behaviour,
        url=f"{server.url}/v1",
        is_local=is_local,
        context_tokens=context_tokens,
        first_token_seconds=first_token_seconds,
        total_seconds=total_seconds,
        api_key=SecretStr(SECRET),
        request=request or {},
    )


def permits_of(
    database: Database,
    models: Sequence[Model],
    *,
    monthly_tokens: int | None = None,
    max_concurrent: int = 8,
) -> Permits:
    gateway = Gateway(models, max_answer_tokens=200, max_concurrent=max_concurrent)
    return Permits(database, gateway, AnswerPrompt("answer-1"), monthly_tokens=monthly_tokens)


def answerer_of(
    database: Database, embedder: Embedder | None, texts: SealedTexts, permits: Permits
) -> Answerer:
    return Answerer(database, Searcher(database, embedder, texts), permits)


async def standing(database: Database, tenant: TenantFixture) -> TokenStanding:
    async with database.transaction(tenant.access) as session:
        return await standing_of(session, None)
