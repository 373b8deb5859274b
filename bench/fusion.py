"""How good hybrid search is beside words and meaning alone, on sets of questions with judged documents."""

from pathlib import Path
from statistics import mean

from bench.postgres import application_dsn, empty_postgres
from bench.quality.cases import data_folder
from bench.results import Result, note
from db.session import Database
from deploy.embedded.home import model_directory
from muniment.embedding import Embedder
from retrieval.evaluation import Dataset, load_dataset, quality, rankings
from retrieval.evaluation_corpus import index_documents, make_evaluation_tenant

ENGLISH = ("cranfield", "pubmedqa", "scifact", "sec-10q", "tatqa-dev", "xquad-en")
STEMMERS = {
    "xquad-ar": "arabic",
    "xquad-de": "german",
    "xquad-es": "spanish",
    "xquad-ru": "russian",
    "xquad-zh": "simple",
}
"""The text search configurations of the sets in other languages."""

MOST_BELOW_THE_BETTER = 0.005
LEAST_ABOVE_THE_BETTER = 0.02
"""On the average of the English sets."""
ROUNDING = 0.0005

Scores = dict[str, float]


async def measure_fusion(questions: int) -> bool:
    """nDCG@10 of each set by each way to search; whether `hybrid`, with nothing said in the request, is as
    good as it has to be. Of each set so many questions, evenly."""
    embedder = Embedder(model_directory())
    folders = [data_folder() / "ir" / name for name in (*ENGLISH, *STEMMERS)]
    measured: dict[str, Scores] = {}
    with empty_postgres() as dsn:
        for folder in folders:
            note(f"fusion: {folder.name}")
            measured[folder.name] = await _measured(dsn, folder, embedder, questions)
            for method, score in measured[folder.name].items():
                Result(f"fusion.{folder.name}.{method}", score, "nDCG@10").print()
    gains = [scores["hybrid"] - _better(scores) for scores in measured.values()]
    gain = mean(gains[: len(ENGLISH)])
    Result("fusion.english_above_the_better_list", gain, "nDCG@10").print()
    return gain >= LEAST_ABOVE_THE_BETTER and all(
        below >= -MOST_BELOW_THE_BETTER
        and scores["hybrid"] >= scores["minmax .5 lexical"] - ROUNDING
        for below, scores in zip(gains, measured.values(), strict=True)
    )


def _better(scores: Scores) -> float:
    return max(scores["lexical"], scores["vector"])


async def _measured(dsn: str, folder: Path, embedder: Embedder, questions: int) -> Scores:
    dataset = load_dataset(folder)
    asked = _evenly(dataset, questions)
    database = Database(application_dsn(dsn))
    try:
        tenant = await make_evaluation_tenant(database, dsn)
        stemmer = STEMMERS.get(folder.name, "english")
        documents = await index_documents(database, tenant, dataset.documents, embedder, stemmer)
        ranked = await rankings(database, tenant.access, embedder, asked, documents)
    finally:
        await database.close()
    return {method: quality(each, dataset).ndcg for method, each in ranked.items()}


def _evenly(dataset: Dataset, questions: int) -> dict[str, str]:
    step = -(-len(dataset.queries) // questions)
    return dict(list(dataset.queries.items())[::step])
