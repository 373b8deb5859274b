"""Whether anything answers is known before a model is asked, by as few vectors as it takes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from db.session import Database
from muniment.embedding import Embedder
from muniment.objects import SealedTexts
from retrieval.answer_extractive import (
    MAX_SENTENCES_EMBEDDED,
    LikeliestSentences,
    SentenceChooser,
)
from retrieval.request import SearchRequest
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.retrieval.published import publish_file

SAID = "Widow Van der Meer paid for the harbour cranes of the town."
OTHERS = [f"The census of {1700 + year} counted the sheep of parish {year}." for year in range(40)]
BY_WORDS = "Who paid for the harbour cranes of the town?"
BY_MEANING = "Who financed the harbour cranes?"
BY_NONE = "What is the boiling point of mercury?"


class RecordingEmbedder(Embedder):
    """The real one, which notes what it embedded."""

    def __init__(self, model_directory: Path) -> None:
        super().__init__(model_directory, threads=2)
        self.embedded: list[str] = []

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        self.embedded += texts
        return super().embed(texts, on_batch)


@pytest.fixture(scope="module")
def recording(embedder: Embedder) -> RecordingEmbedder:
    return RecordingEmbedder(embedder._model_directory)


async def _likeliest(
    database: Database,
    tenant: TenantFixture,
    recording: RecordingEmbedder,
    texts: SealedTexts,
    question: str,
) -> LikeliestSentences:
    await publish_file(
        database, tenant.access, tenant.collection_id, [SAID, *OTHERS], embedder=recording
    )
    searcher = Searcher(database, recording, texts)
    found = await searcher.search(tenant.access, SearchRequest(query=question, top_k=20))
    likeliest = await SentenceChooser(database, searcher).likeliest(
        tenant.access, question, found.data
    )
    recording.embedded.clear()
    return likeliest


@pytest.mark.parametrize(
    ("question", "is_answered", "embedded"),
    [
        (BY_WORDS, True, 0),
        (BY_MEANING, True, 2),
        (BY_NONE, False, 1 + MAX_SENTENCES_EMBEDDED),
    ],
)
async def test_no_more_is_embedded_than_it_takes_to_know(
    database: Database,
    tenant: TenantFixture,
    recording: RecordingEmbedder,
    texts: SealedTexts,
    question: str,
    is_answered: bool,
    embedded: int,
) -> None:
    likeliest = await _likeliest(database, tenant, recording, texts, question)
    assert await likeliest.has_answer() is is_answered
    assert len(recording.embedded) == embedded
    everything = {each.hit.chunk_id for each in likeliest._competing}
    best = await likeliest.best(everything)
    assert bool(best) is is_answered
    # Each once, the question too.
    assert len(recording.embedded) == len(set(recording.embedded)) == 1 + MAX_SENTENCES_EMBEDDED


async def test_a_passage_that_went_out_of_reach_is_not_quoted(
    database: Database, tenant: TenantFixture, recording: RecordingEmbedder, texts: SealedTexts
) -> None:
    likeliest = await _likeliest(database, tenant, recording, texts, BY_WORDS)
    (best,) = await likeliest.best({each.hit.chunk_id for each in likeliest._competing})
    assert best.sentence.quote == SAID
    assert await likeliest.best(set()) == []
