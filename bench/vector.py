"""Search by meaning among 100,000 and 1,000,000 passages, and what it costs to publish among so many."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import psycopg

from bench.results import Result, note
from bench.stack import Stack
from bench.vector_set import (
    CHUNKS_PER_FILE,
    RARE_LABEL,
    NewFile,
    Vectors,
    VectorTenant,
    add_passages,
    add_tenant,
    copy_passages,
    new_files,
    real_passages,
    real_questions,
    varied,
)
from db.bootstrap import bootstrap
from db.models import new_id
from db.queries.publish import NewChunk, replace_chunks
from db.queries.search import FileFilter
from db.session import Access, Database
from deploy.embedded.home import model_directory
from deploy.embedded.postgres import APPLICATION_ROLE
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import Chunk
from muniment.embedding import Embedder
from retrieval.vector import search_vectors

SMALL, LARGE = 100_000, 1_000_000
QUESTIONS = 100
MOST_P95_MS = 20.0
MOST_FILTERED_P95_MS = 60.0
LEAST_RECALL = 0.95
LEAST_PUBLISHING_RATIO = 0.8
_TOP = 10
_WARMING = 20
_GRAPH_MEMORY = "3GB"
"""For the graph of a million at once; in service it grows with what is published."""
_PUBLICATION = 500
_PUBLICATIONS = 4


async def measure_vectors(stack: Stack) -> bool:
    """Whether recall, times and the rate of publishing are as they have to be."""
    owner = stack.database
    note("vector: embedding real passages and questions")
    embedder = Embedder(model_directory())
    passages = real_passages()
    base = await asyncio.to_thread(embedder.embed, passages)
    questions = await asyncio.to_thread(embedder.embed, real_questions(QUESTIONS))
    database = Database(_application_url(owner))
    try:
        searches = _Searches(database, owner, embedder, questions)
        at_small = await searches.measure(_tenant(owner, base, SMALL))
        large = _tenant(owner, base, LARGE)
        at_large = await searches.measure(large)
        filtered = await searches.measure(large, RARE_LABEL)
        ours, bare = await _publishing(database, owner, large, base, passages)
    finally:
        await database.close()
    for name, measured in (("small", at_small), ("large", at_large), ("filtered", filtered)):
        Result(f"vector.{name}_p50", measured.p50, "ms").print()
        Result(f"vector.{name}_p95", measured.p95, "ms").print()
        Result(f"vector.{name}_recall", measured.recall, f"of the best {_TOP}").print()
    Result("vector.publishing", ours, "passages/s", bare).print()
    return (
        at_large.p95 <= MOST_P95_MS
        and filtered.p95 <= MOST_FILTERED_P95_MS
        and min(at_large.recall, filtered.recall) >= LEAST_RECALL
        and ours >= LEAST_PUBLISHING_RATIO * bare
    )


def _application_url(owner: str) -> str:
    """The DSN of the same database for the role that row-level security binds."""
    return f"postgresql://{APPLICATION_ROLE}@{owner.partition('@')[2]}"


@dataclass(frozen=True)
class _Measured:
    """Milliseconds, and the share of the exact ten that were found."""

    p50: float
    p95: float
    recall: float


def _tenant(owner: str, base: Vectors, count: int) -> VectorTenant:
    """A tenant with so many passages, and the graph over them."""
    name = f"vectors-{count}"
    bootstrap(owner, tenant=name, scopes=())
    with psycopg.connect(owner) as connection:
        row = connection.execute(
            "SELECT tenant.id, collection.id FROM tenant"
            " JOIN collection ON collection.tenant_id = tenant.id WHERE tenant.name = %s",
            (name,),
        ).fetchone()
        assert row is not None  # noqa: S101 - it was just made
        tenant = add_tenant(connection, *row)
        note(f"vector: {add_passages(connection, tenant, varied(base, count, count)):,} passages")
        began = time.perf_counter()
        connection.execute("SELECT set_config('app.tenant', %s, true)", (str(tenant.tenant_id),))
        connection.execute(f"SET LOCAL maintenance_work_mem = '{_GRAPH_MEMORY}'")
        connection.execute("SELECT make_vector_graph(%s)", (tenant.index_version_id,))
        connection.commit()
        note(f"vector: its graph was made in {time.perf_counter() - began:.0f} s")
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
    return tenant


@dataclass(frozen=True)
class _Searches:
    """Whole searches by vector, one after another, as the API does them."""

    database: Database
    owner: str
    embedder: Embedder
    questions: Vectors

    async def measure(self, tenant: VectorTenant, label: str | None = None) -> _Measured:
        wanted = FileFilter(labels=(label,) if label else ())
        exact = _exact(self.owner, tenant, self.questions, label)
        for question in self.questions[:_WARMING]:
            await self._search(tenant, question, wanted)
        spent, shares = list[float](), list[float]()
        for question, best in zip(self.questions, exact, strict=True):
            began = time.perf_counter()
            found = await self._search(tenant, question, wanted)
            spent.append((time.perf_counter() - began) * 1000)
            shares.append(len(best.intersection(found[:_TOP])) / len(best))
        percentiles = statistics.quantiles(spent, n=20)
        return _Measured(percentiles[9], percentiles[18], statistics.mean(shares))

    async def _search(
        self, tenant: VectorTenant, question: Vectors, wanted: FileFilter
    ) -> list[UUID]:
        access = Access(tenant.tenant_id)
        found = await search_vectors(self.database, access, self.embedder, question, wanted)
        return list(found.scores)


_NEAREST = """
SELECT chunk_id FROM embedding
WHERE index_version_id = %(index)s
    AND (%(label)s::text IS NULL OR chunk_id IN (
        SELECT chunk.id FROM file JOIN chunk ON chunk.file_id = file.id
        WHERE file.tenant_id = %(tenant)s AND %(label)s = ANY (file.labels)))
ORDER BY vector <=> %(question)s::halfvec  -- as no graph has it
LIMIT %(top)s
"""


def _exact(
    owner: str, tenant: VectorTenant, questions: Vectors, label: str | None
) -> list[set[UUID]]:
    """The best ten of each question by measuring all."""
    note("vector: finding the exact answers")
    with psycopg.connect(owner) as connection:
        return [
            {
                row[0]
                for row in connection.execute(
                    _NEAREST,
                    {
                        "index": tenant.index_version_id,
                        "tenant": tenant.tenant_id,
                        "label": label,
                        "question": str(question.tolist()),
                        "top": _TOP,
                    },
                )
            }
            for question in questions
        ]


async def _publishing(
    database: Database, owner: str, tenant: VectorTenant, base: Vectors, passages: Sequence[str]
) -> tuple[float, float]:
    """Passages a second: published, with all that words need, and by COPY into the two tables. By turns,
    so that a busier minute of the machine falls on both."""
    note("vector: publishing")
    batches = varied(base, 2 * _PUBLICATIONS * _PUBLICATION, 3)
    vectors = np.concatenate(list(batches)).reshape(2, _PUBLICATIONS, _PUBLICATION, -1)
    ours, bare = list[float](), list[float]()
    with psycopg.connect(owner) as connection:
        for turn in range(_PUBLICATIONS):
            (file,) = new_files(connection, tenant, 1)
            files = new_files(connection, tenant, _PUBLICATION // CHUNKS_PER_FILE)
            connection.commit()
            began = time.perf_counter()
            await _publish(database, tenant, file, vectors[0, turn], passages)
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            copy_passages(connection, tenant, files, vectors[1, turn])
            connection.commit()
            bare.append(time.perf_counter() - began)
    return _PUBLICATION / statistics.median(ours), _PUBLICATION / statistics.median(bare)


async def _publish(
    database: Database,
    tenant: VectorTenant,
    file: NewFile,
    vectors: Vectors,
    passages: Sequence[str],
) -> None:
    version = VersionReference(
        tenant_id=tenant.tenant_id,
        file_id=file.file_id,
        version_id=file.version_id,
        job_id=new_id(),
    )
    chunks = [
        NewChunk(
            Chunk(ordinal=place, text=said, token_count=60, headings=(), pages=(1,), boxes=()),
            new_id().bytes,
        )
        for place, said in enumerate(passages[: len(vectors)])
    ]
    async with database.transaction(Access(tenant.tenant_id)) as session:
        await replace_chunks(session, version, chunks, {tenant.index_version_id: vectors})
