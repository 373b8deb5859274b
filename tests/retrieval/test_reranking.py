"""The reranker: a real cross-encoder, small enough to write down, through the client of the large ones."""

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from db.session import Database
from muniment.embedding.cross_encoder import CrossEncoder
from muniment.errors import ConfigurationError
from muniment.objects import SealedTexts
from retrieval.request import SearchRequest
from retrieval.reranking import (
    AT_ONCE,
    FAILED,
    TOO_SLOW,
    Reranker,
    RerankingUnavailable,
    probability,
)
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.retrieval.cross_encoder_model import write_cross_encoder
from tests.retrieval.published import publish_file

QUESTION = "who keeps the keys of the harbour"
PASSAGES = (
    "harbour harbour harbour harbour harbour",
    "The master keeps the keys of the harbour gate.",
    "Keys are made by the smith.",
)


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    directory = write_cross_encoder(tmp_path_factory.mktemp("rerank") / "shared-words")
    model = CrossEncoder(directory, threads=1)
    model.load()
    return model


def test_a_question_and_a_text_are_read_together(cross_encoder: CrossEncoder) -> None:
    scores = cross_encoder.scores(QUESTION, PASSAGES)
    assert scores[1] > scores[0] > scores[2]
    assert cross_encoder.scores(QUESTION, []) == []
    assert cross_encoder.scores(QUESTION, ["", "keys " * 5_000])[0] == 0.0


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no cross-encoder"):
        CrossEncoder(tmp_path / "nowhere").load()
    broken = write_cross_encoder(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        CrossEncoder(broken).load()


def test_two_models_in_one_process(cross_encoder: CrossEncoder, tmp_path: Path) -> None:
    other = CrossEncoder(write_cross_encoder(tmp_path / "Shared-Words"))
    assert other.scores(QUESTION, PASSAGES) == cross_encoder.scores(QUESTION, PASSAGES)


async def test_the_best_are_put_in_the_reranker_s_order(
    database: Database, tenant: TenantFixture, texts: SealedTexts, cross_encoder: CrossEncoder
) -> None:
    published = await publish_file(database, tenant.access, tenant.collection_id, PASSAGES)
    harbour, keys, smith = published.chunk_ids
    searcher = Searcher(database, None, texts, reranker=Reranker(cross_encoder, passages=3))
    request = SearchRequest.model_validate(
        {"query": QUESTION, "mode": "lexical", "rerank": True, "explain": True}
    )
    found = await searcher.search(tenant.access, request)
    assert [hit.chunk_id for hit in found.data] == [keys, harbour, smith]
    assert not found.degraded
    assert found.explanation is not None
    assert found.explanation.reranker == "shared-words"
    for rank, hit in enumerate(found.data, start=1):
        assert hit.scores.rerank is not None
        assert hit.score == pytest.approx(probability(hit.scores.rerank))
        assert hit.explanation is not None
        assert hit.explanation.rerank_rank == rank
    plain = await searcher.search(tenant.access, request.model_copy(update={"rerank": False}))
    assert all(hit.scores.rerank is None for hit in plain.data)
    # What is excluded, or said of names, is no part of the question.
    limited = await searcher.search(
        tenant.access,
        request.model_copy(update={"query": f"{QUESTION} -smith -name:gate"}),
    )
    assert [hit.scores.rerank for hit in limited.data] == [
        hit.scores.rerank for hit in found.data[:2]
    ]


class SlowModel:
    model_id = "slow"

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._running = self.most_running = 0

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        with self._counting:
            self._running += 1
            self.most_running = max(self.most_running, self._running)
        time.sleep(0.3)
        with self._counting:
            self._running -= 1
        return [1.0] * len(texts)


class UndecidedModel:
    model_id = "undecided"

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        return [math.nan] * len(texts)


TEXTS = {UUID(int=number): text for number, text in enumerate(PASSAGES)}


async def test_a_slow_reranker_is_not_waited_for() -> None:
    model = SlowModel()
    reranker = Reranker(model, timeout_seconds=0.1)
    for _ in range(3):
        answers = await asyncio.gather(
            *(reranker.scores(QUESTION, TEXTS) for _ in range(3)), return_exceptions=True
        )
        assert [str(each) for each in answers] == [TOO_SLOW] * 3
    # What is late goes on, but nothing beside it.
    assert model.most_running <= AT_ONCE


@pytest.mark.parametrize("is_broken", [True, False])
async def test_a_reranker_that_fails_leaves_the_order(
    database: Database,
    tenant: TenantFixture,
    texts: SealedTexts,
    tmp_path: Path,
    *,
    is_broken: bool,
) -> None:
    reranker = Reranker(UndecidedModel())
    if is_broken:
        directory = write_cross_encoder(tmp_path / "broken", is_broken=True)
        reranker = Reranker(CrossEncoder(directory, threads=1))
    with pytest.raises(RerankingUnavailable):
        await reranker.scores(QUESTION, TEXTS)
    await publish_file(database, tenant.access, tenant.collection_id, PASSAGES)
    request = SearchRequest.model_validate({"query": "keys", "mode": "lexical", "rerank": True})
    found = await Searcher(database, None, texts, reranker=reranker).search(tenant.access, request)
    assert (found.degraded, found.reasons) == (True, (FAILED,))
    assert len(found.data) == 2


async def test_a_copy_takes_none_of_the_reranker_s_places(
    database: Database, tenant: TenantFixture, texts: SealedTexts, cross_encoder: CrossEncoder
) -> None:
    copy, better = "harbour harbour", "harbour " * 7 + "stone " * 100
    for passage in (copy, copy, copy, copy, better):
        await publish_file(database, tenant.access, tenant.collection_id, [passage])
    searcher = Searcher(database, None, texts, reranker=Reranker(cross_encoder, passages=2))
    request = SearchRequest.model_validate({"query": "harbour", "mode": "lexical", "rerank": True})
    best = await searcher.search(tenant.access, request.model_copy(update={"top_k": 1}))
    assert [(hit.text, hit.duplicates) for hit in best.data] == [(better, 0)]
    found = await searcher.search(tenant.access, request)
    assert [(hit.text, hit.duplicates) for hit in found.data] == [(better, 0), (copy, 3)]
    assert all(hit.scores.rerank is not None for hit in found.data)


def test_a_probability_of_any_score() -> None:
    assert probability(0.0) == 0.5
    assert (probability(-1e9), probability(1e9)) == (0.0, 1.0)
