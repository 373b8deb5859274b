"""Words that a tenant's administrators say mean the same: kept as they are written, and looked for in a query
in each language of the index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.asked import AskedTerm, AskedTerms, Lexeme, lexemes_of

MAX_RULES = 500
"""Of a tenant."""
MAX_RULES_OF_QUERY = 50
"""Rules that count for one query: the first ones of the list of which it has a word."""


@dataclass(frozen=True)
class SynonymRule:
    """A query that has one of `words` finds what has another of them; with `also` what has one of these
    instead. Each is a word or several."""

    words: tuple[str, ...]
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expanded:
    """`synonyms`: what was added to the query, as it is written in the rules."""

    terms: AskedTerms
    synonyms: tuple[str, ...] = ()


_RULES = text("SELECT words, also FROM synonym ORDER BY place")

# One at a time: who writes the list waits for who is at it.
_LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtext('synonym'), hashtext(CAST(current_tenant() AS text)))"
)

_INSERT = text(
    """
    INSERT INTO synonym (tenant_id, place, words, also, keys)
    SELECT current_tenant(), :place, CAST(:words AS text[]), CAST(:also AS text[]), ARRAY(
        SELECT DISTINCT lexeme.lexeme
        FROM unnest(CAST(:words AS text[])) AS word(content)
        CROSS JOIN (
            SELECT oid FROM pg_ts_config
            WHERE cfgnamespace = CAST('pg_catalog' AS regnamespace)
        ) AS language
        CROSS JOIN LATERAL unnest(to_tsvector(
            CAST(language.oid AS regconfig), searchable_words(word.content))) AS lexeme)
    """
)

_RULES_WITH = text(
    """
    SELECT words, also FROM synonym
    WHERE tenant_id = (SELECT current_tenant()) AND keys && CAST(:lexemes AS text[])
    ORDER BY place LIMIT :most
    """
)


async def list_rules(session: AsyncSession) -> list[SynonymRule]:
    """In their order."""
    return [_rule(row.words, row.also) for row in await session.execute(_RULES)]


async def lock_rules(session: AsyncSession) -> None:
    """Until the end of the transaction nobody else changes them."""
    await session.execute(_LOCK)


async def replace_rules(session: AsyncSession, rules: Sequence[SynonymRule]) -> None:
    """These instead of those that there are, for the searches that begin after the commit."""
    await session.execute(text("DELETE FROM synonym"))
    if rules:
        await session.execute(
            _INSERT,
            [
                {"place": place, "words": list(rule.words), "also": list(rule.also)}
                for place, rule in enumerate(rules)
            ],
        )


async def with_synonyms(
    session: AsyncSession, asked: AskedTerms, languages: Sequence[str]
) -> Expanded:
    """The terms, each with what is looked for beside it. Words that begin with a prefix have none, nor have
    those that each hit has to have."""
    lexemes = {term for each in asked.terms if each.prefix is None for term in each.terms}
    if not lexemes:
        return Expanded(asked)
    found = await session.execute(_RULES_WITH, {"lexemes": sorted(lexemes), "most": MAX_RULES})
    rules = [_rule(row.words, row.also) for row in found]
    if not rules:
        return Expanded(asked)
    spelled = await _spelled(session, [each for rule in rules for each in rule.words], languages)
    positions = {language: _positions(asked.terms, language) for language in languages}
    standing = [
        (language, rule, source)
        for rule in rules
        for source in rule.words
        for language in languages
        if _stands_in(spelled.get((language, source), []), positions[language])
    ]
    counted = [*dict.fromkeys(rule for _, rule, _ in standing)][:MAX_RULES_OF_QUERY]
    targets = [each for rule in counted for each in rule.also or rule.words]
    meant = await _spelled(session, targets, languages)
    alternatives: dict[tuple[str, str], dict[tuple[str, ...], None]] = {}
    added: dict[str, None] = {}
    for language, rule, source in standing:
        names = {each.name for each in spelled[language, source]} - asked.required.get(
            language, frozenset()
        )
        for target in (rule.also or rule.words) if names and rule in counted else ():
            other = tuple(each.name for each in meant.get((language, target), []))
            if not other or target == source:
                continue
            added[target] = None
            for name in names:
                alternatives.setdefault((language, name), {})[other] = None
    terms = tuple(
        replace(each, alternatives=tuple(alternatives.get((each.language, each.name), ())))
        for each in asked.terms
    )
    return Expanded(replace(asked, terms=terms), tuple(added))


async def _spelled(
    session: AsyncSession, written: Sequence[str], languages: Sequence[str]
) -> dict[tuple[str, str], list[Lexeme]]:
    """What each of these comes to, by language."""
    words = [*dict.fromkeys(written)]
    if not words:
        return {}
    found = await lexemes_of(session, words, languages)
    return {(language, words[place]): each for (language, place), each in found.items()}


def _rule(words: Sequence[str], also: Sequence[str]) -> SynonymRule:
    return SynonymRule(tuple(words), tuple(also))


def _positions(terms: Sequence[AskedTerm], language: str) -> Mapping[str, frozenset[int]]:
    return {
        each.name: frozenset(each.positions)
        for each in terms
        if each.language == language and each.prefix is None
    }


def _stands_in(sought: Sequence[Lexeme], positions: Mapping[str, frozenset[int]]) -> bool:
    """Side by side, as they stand in the rule."""
    if not sought:
        return False
    first = sought[0]
    return any(
        all(
            start + each.position - first.position in positions.get(each.name, frozenset())
            for each in sought
        )
        for start in positions.get(first.name, frozenset())
    )
