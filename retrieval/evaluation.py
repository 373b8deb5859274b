"""How good a search is, on sets of questions with judged documents (BEIR's format).

    python -m retrieval.evaluation FOLDER --owner-url DSN --application-url DSN --model-directory DIR

FOLDER holds corpus.jsonl, queries.jsonl and qrels.tsv. A tenant of its own is made in the database,
each document becomes a passage, and JSON lines say what was measured. Give it a database of its own:
what it writes stays there.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, quantiles
from time import perf_counter
from uuid import UUID

from pydantic import JsonValue

from db.queries.search import FileFilter
from db.session import Access, Database
from muniment.embedding import Embedder
from muniment.objects import BlobStore, FilesystemObjectStore, SealedTexts
from muniment.sealing import KeyFile
from retrieval.evaluation_corpus import Document, index_documents, make_evaluation_tenant
from retrieval.fusion import fuse
from retrieval.lexical import search_words
from retrieval.query_types import weigh
from retrieval.ranking_metrics import CUTOFF, Judgements, ndcg, recall
from retrieval.request import MAX_TOP_K, Fusion, FusionMethod, SearchMode, SearchRequest
from retrieval.search import Searcher
from retrieval.vector import QueryEmbedder, embed, search_vectors

FUSIONS = {
    "rrf": Fusion(method=FusionMethod.RRF, alpha=0.5),
    "minmax .3 lexical": Fusion(alpha=0.7),
    "minmax .5 lexical": Fusion(alpha=0.5),
    "minmax .7 lexical": Fusion(alpha=0.3),
}
"""With their weights said."""
LATENCY_SAMPLE = 60


@dataclass(frozen=True)
class Dataset:
    """`judgements`: by query id, the grades (> 0) of the documents that answer it."""

    documents: tuple[Document, ...]
    queries: Mapping[str, str]
    judgements: Mapping[str, Judgements]


@dataclass(frozen=True)
class Quality:
    """Means over the queries; recall at 100."""

    ndcg: float
    recall: float


def load_dataset(folder: Path) -> Dataset:
    """Reads a set in BEIR's format; queries without judgements are left out."""
    judgements: dict[str, dict[str, float]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        query_id, document_id, grade = line.split("\t")
        if float(grade) > 0:
            judgements.setdefault(query_id, {})[document_id] = float(grade)
    documents = read_json_lines(folder / "corpus.jsonl")
    queries = read_json_lines(folder / "queries.jsonl")
    return Dataset(
        documents=tuple(
            Document(str(each["_id"]), str(each["title"]), str(each["text"])) for each in documents
        ),
        queries={
            str(each["_id"]): str(each["text"]) for each in queries if each["_id"] in judgements
        },
        judgements=judgements,
    )


def read_json_lines(path: Path) -> list[dict[str, JsonValue]]:
    """The records of a JSON lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


async def rankings(
    database: Database,
    access: Access,
    embedder: QueryEmbedder | None,
    queries: Mapping[str, str],
    documents: Mapping[UUID, str],
) -> dict[str, dict[str, list[str]]]:
    """By method, then by query id, the ids of the documents it found, best first. `hybrid` is what a search
    answers that says nothing else."""
    found: dict[str, dict[str, list[str]]] = {}
    searcher = Searcher(database, embedder, _without_sealed())
    for query_id, query in queries.items():
        lexical = (await search_words(database, access, query, FileFilter())).scores
        lists = {"lexical": list(lexical)}
        if embedder is not None:
            vector = (await embed(embedder, [query]))[0]
            searched = await search_vectors(database, access, embedder, vector, FileFilter())
            nearest = searched.scores
            lists["vector"] = list(nearest)
            request = SearchRequest(
                query=query, operators=False, show_duplicates=True, top_k=MAX_TOP_K
            )
            answered = await searcher.search(access, request)
            lists["hybrid"] = [hit.chunk_id for hit in answered.data]
            for name, fusion in FUSIONS.items():
                weighing = weigh(query, fusion, SearchMode.HYBRID)
                lists[name] = list(fuse(lexical, nearest, weighing))
        for method, chunks in lists.items():
            found.setdefault(method, {})[query_id] = [documents[chunk] for chunk in chunks]
    return found


def quality(ranked: Mapping[str, Sequence[str]], dataset: Dataset) -> Quality:
    """Of one method's rankings."""
    return Quality(
        ndcg=mean(ndcg(ranked[each], dataset.judgements[each]) for each in ranked),
        recall=mean(recall(ranked[each], dataset.judgements[each]) for each in ranked),
    )


async def latencies_ms(
    searcher: Searcher, access: Access, queries: Sequence[str]
) -> tuple[float, float]:
    """p50 and p95 of whole hybrid searches, one after another."""
    spent = []
    for query in queries:
        start = perf_counter()
        await searcher.search(access, SearchRequest(query=query, operators=False))
        spent.append((perf_counter() - start) * 1000)
    percentiles = quantiles(spent, n=20)
    return percentiles[9], percentiles[18]


async def _main(arguments: argparse.Namespace) -> None:
    embedder = Embedder(arguments.model_directory)
    dataset = load_dataset(arguments.folder)
    database = Database(arguments.application_url)
    name = arguments.folder.name
    try:
        tenant = await make_evaluation_tenant(database, arguments.owner_url)
        documents = await index_documents(database, tenant, dataset.documents, embedder)
        ranked = await rankings(database, tenant.access, embedder, dataset.queries, documents)
        for method, each in ranked.items():
            measured = quality(each, dataset)
            _print(f"{name} {method} nDCG@{CUTOFF}", measured.ndcg, "1")
            _print(f"{name} {method} recall@100", measured.recall, "1")
        sample = list(dataset.queries.values())[:LATENCY_SAMPLE]
        searcher = Searcher(database, embedder, _without_sealed())
        p50, p95 = await latencies_ms(searcher, tenant.access, sample)
        _print(f"{name} hybrid p50, {len(documents)} passages", p50, "ms")
        _print(f"{name} hybrid p95, {len(documents)} passages", p95, "ms")
    finally:
        await database.close()


def _without_sealed() -> SealedTexts:
    """Nothing of an evaluation is sealed, so that nothing is ever asked of these stores."""
    nowhere = Path(os.devnull)
    objects = FilesystemObjectStore(nowhere)
    return SealedTexts(BlobStore(objects, KeyFile(nowhere), objects))


def _print(name: str, value: float, unit: str) -> None:
    sys.stdout.write(json.dumps({"name": name, "value": round(value, 4), "unit": unit}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--owner-url", required=True)
    parser.add_argument("--application-url", required=True)
    parser.add_argument("--model-directory", type=Path, required=True)
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
