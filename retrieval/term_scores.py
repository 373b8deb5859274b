"""What each word of a question gave to the BM25 of the passages that were found."""

from collections.abc import Mapping, Sequence

from db.queries.entries import Numbers
from db.queries.lexical import Extent, TermPostings
from retrieval.bm25 import Bm25, inverse_document_frequency, parts
from retrieval.required_terms import of_passages
from retrieval.response import TermScore

TermScores = dict[int, tuple[TermScore, ...]]


def term_scores(
    terms: Sequence[TermPostings],
    extents: Mapping[str, Extent],
    parameters: Bm25,
    numbers: Numbers,
) -> TermScores:
    """By the passages' numbers, the greatest score first; each passage's add up to its score."""
    found: dict[int, list[TermScore]] = {int(number): [] for number in numbers}
    for term in terms:
        extent = extents[term.language]
        weight = term.occurrences * inverse_document_frequency(term.passages, extent.passages)
        some = of_passages(term, numbers)
        given = parts(some, weight, extent, parameters)
        for number, occurrences, score in zip(
            some.numbers.tolist(), some.frequencies.tolist(), given.tolist(), strict=True
        ):
            found[number].append(
                TermScore(
                    term=term.term,
                    language=term.language,
                    weight=weight,
                    occurrences=occurrences,
                    score=score,
                )
            )
    return {
        number: tuple(sorted(scores, key=lambda each: (-each.score, each.term)))
        for number, scores in found.items()
    }
