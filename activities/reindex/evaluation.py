"""Whether a new index version finds what it should, before it is searched."""

import secrets
from collections.abc import Sequence
from uuid import UUID

from activities.publish.graphs import Transaction
from db.models import IndexVersion
from db.queries import index_evaluation
from db.queries.index_versions import kept_whole
from db.queries.vectors import has_graph, lacks_graph
from muniment.contracts.reindex import IndexEvaluation, IndexState

QUESTIONS = 20
"""Each is answered three times, twice of them by measuring every vector: a second among a million."""
NEAREST = 10


async def evaluate(transaction: Transaction, row: IndexVersion) -> IndexEvaluation:
    """Stored passages are the questions, so that nobody's queries need be kept. No recall where there is to
    be a graph and is none: nobody knows what that will find."""
    async with transaction() as session:
        active = next(
            (each for each in await kept_whole(session) if each.state == IndexState.ACTIVE), None
        )
        other = active or row
        questions = await index_evaluation.sample(
            session, other.id, row.id, after=secrets.token_bytes(32), limit=QUESTIONS
        )
        if len(questions) < QUESTIONS:
            # Near the end of all hashes, or few passages: from the first one on.
            questions = await index_evaluation.sample(
                session, other.id, row.id, after=b"", limit=QUESTIONS
            )
        by_graph = await has_graph(session, row.id)
        is_unknown = await lacks_graph(session, row.id)
    overlaps, recalls = list[float](), list[float]()
    for question in questions:
        exact = await _nearest(transaction, row, question, by_graph=False)
        found = await _nearest(transaction, row, question, by_graph=True) if by_graph else exact
        if not is_unknown:
            recalls += _share(found, exact)
        if active is not None:
            former = await _nearest(transaction, active, question, by_graph=False)
            overlaps += _share(found, former)
    return IndexEvaluation(questions=len(questions), overlap=_mean(overlaps), recall=_mean(recalls))


async def _nearest(
    transaction: Transaction, index: IndexVersion, question: UUID, *, by_graph: bool
) -> list[bytes]:
    async with transaction() as session:
        return await index_evaluation.nearest_texts(
            session, index, question, by_graph=by_graph, limit=NEAREST
        )


def _share(found: Sequence[bytes], wanted: Sequence[bytes]) -> list[float]:
    """Of the wanted that were found; nothing where nothing was wanted."""
    return [len(set(found) & set(wanted)) / len(wanted)] if wanted else []


def _mean(shares: Sequence[float]) -> float | None:
    return round(sum(shares) / len(shares), 4) if shares else None
