"""What is asked of a search by words, and what its words come to in each language of the index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from db.binary_rows import binary_rows


@dataclass(frozen=True)
class Condition:
    """The words of `content` stand side by side in a passage or its headings, with `is_heading` in its
    headings; with `is_excluded` they do not. With `is_prefix` a word begins so."""

    content: str
    is_heading: bool = False
    is_excluded: bool = False
    is_prefix: bool = False


@dataclass(frozen=True)
class AskedQuery:
    """`words` and words that begin with one of `prefixes` score; the conditions hold for each hit. None of
    the texts has NUL in it."""

    words: str
    prefixes: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class AskedTerm:
    """Terms of the index that count as one: those in `terms`, and all that begin with `prefix`."""

    language: str
    name: str
    terms: tuple[str, ...]
    occurrences: int
    """How often it stands in the query."""
    positions: tuple[int, ...] = ()
    prefix: str | None = None
    alternatives: tuple[tuple[str, ...], ...] = ()
    """What means the same: of each all terms stand in a passage. It counts less."""

    @property
    def all_terms(self) -> frozenset[str]:
        """Without those that begin with the prefix."""
        return frozenset(self.terms).union(*self.alternatives)


@dataclass(frozen=True)
class AskedTerms:
    """`required`: for each language the terms of which all stand in a passage that fulfils the conditions."""

    terms: tuple[AskedTerm, ...]
    required: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Lexeme:
    """`position`: its first one in the text, from 1."""

    name: str
    position: int


# One statement for all texts, since each is short.
_LEXEMES = """
    SELECT asked.language, given.place - 1, word.lexeme, word.positions
    FROM unnest(CAST(:languages AS text[])) AS asked(language)
    CROSS JOIN unnest(CAST(:texts AS text[])) WITH ORDINALITY AS given(content, place)
    CROSS JOIN LATERAL unnest(to_tsvector(
        CAST(asked.language AS regconfig), searchable_words(given.content))) AS word
"""

# A word that a language leaves out stands in each of its passages, as far as can be told. Words of one
# question have the same places in it in each language.
_MEANT = """
    WITH word AS (
        SELECT lexeme, unnest(positions) AS place
        FROM unnest(to_tsvector('english', searchable_words(CAST(:query AS text))))
    ),
    meant AS (
        SELECT asked.language, word.lexeme AS term, unnest(word.positions) AS place
        FROM unnest(CAST(:languages AS text[])) AS asked(language)
        CROSS JOIN LATERAL unnest(to_tsvector(
            CAST(asked.language AS regconfig), searchable_words(CAST(:query AS text)))) AS word
    )
    SELECT DISTINCT word.lexeme, CAST(given.language AS text), meant.term
    FROM word
    CROSS JOIN unnest(CAST(:languages AS text[])) AS given(language)
    LEFT JOIN meant ON meant.language = given.language AND meant.place = word.place
"""


async def meanings(
    session: AsyncSession, question: str, languages: Sequence[str]
) -> list[tuple[str, str, str | None]]:
    """Each English lexeme of the question in each of the languages: the same word's term there, None where
    that language leaves the word out."""
    parameters = {"query": question, "languages": list(languages)}
    return [tuple(row) for row in await binary_rows(session, _MEANT, parameters)]


async def asked_terms(
    session: AsyncSession, query: AskedQuery, languages: Sequence[str]
) -> AskedTerms:
    """In these languages. A prefix counts with what the word itself comes to."""
    needed = [each for each in query.conditions if not (each.is_excluded or each.is_prefix)]
    texts = [query.words, *query.prefixes, *(each.content for each in needed)]
    found = await binary_rows(session, _LEXEMES, {"languages": list(languages), "texts": texts})
    stems: dict[tuple[str, int], list[str]] = {}
    terms = []
    required: dict[str, set[str]] = {}
    for language, place, lexeme, positions in found:
        if place == 0:
            terms.append(AskedTerm(language, lexeme, (lexeme,), len(positions), tuple(positions)))
        elif place <= len(query.prefixes):
            stems.setdefault((language, place), []).append(lexeme)
        else:
            required.setdefault(language, set()).add(lexeme)
    # Alone a phrase may come to other words than among all: `<b "c d" e>` is a tag.
    scored = {(each.language, each.name) for each in terms}
    terms += [
        AskedTerm(language, lexeme, (lexeme,), 1)
        for language, lexemes in required.items()
        for lexeme in sorted(lexemes)
        if (language, lexeme) not in scored
    ]
    for place, prefix in enumerate(query.prefixes, start=1):
        for language in languages:
            stem = stems.get((language, place), [])
            # Of words that are joined by hyphens the parts would come along; what begins so comes anyway.
            beginning = prefix.lower()
            is_one = len(stem) == 1 and not stem[0].startswith(beginning)
            exact = tuple(stem) if is_one else ()
            terms.append(AskedTerm(language, f"{prefix}*", exact, 1, prefix=beginning))
    return AskedTerms(
        tuple(terms), {language: frozenset(each) for language, each in required.items()}
    )


async def lexemes_of(
    session: AsyncSession, texts: Sequence[str], languages: Sequence[str]
) -> dict[tuple[str, int], list[Lexeme]]:
    """What each text comes to in each language, by language and place among the texts, in the order in which
    it stands there."""
    rows = await binary_rows(
        session, _LEXEMES, {"languages": list(languages), "texts": list(texts)}
    )
    found: dict[tuple[str, int], list[Lexeme]] = {}
    for language, place, lexeme, positions in rows:
        found.setdefault((language, place), []).append(Lexeme(lexeme, min(positions)))
    for lexemes in found.values():
        lexemes.sort(key=lambda each: each.position)
    return found
