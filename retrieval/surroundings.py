"""What stands around a hit: the passages before and after it, and the section that it is of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from db.queries.search import FoundPassage, prepare_for_search
from db.queries.surroundings import surroundings
from retrieval.passage_texts import readable
from retrieval.reading import PassageReading
from retrieval.request import ContextRequest
from retrieval.response import HitContext, Neighbour, Section

SECTION_REACH = 10
"""Passages before and after the hit that its section may come to."""
SECTION_CHARACTERS = 8_000

_Place = tuple[UUID, int]


@dataclass(frozen=True)
class Surroundings:
    """`contexts` by the ids of the passages. `is_text_missing`: some of what stands around them could not be
    opened."""

    contexts: Mapping[UUID, HitContext]
    is_text_missing: bool = False


@dataclass(frozen=True)
class _Places:
    """Version and ordinal of what was found, and of what could not be opened."""

    opened: Mapping[_Place, FoundPassage]
    closed: frozenset[_Place]


async def read_contexts(
    reading: PassageReading, passages: Sequence[FoundPassage], asked: ContextRequest
) -> Surroundings:
    """What may not be read now is left out as though the document ended there. The conditions of the query do
    not hold for what stands around a hit."""
    if not passages:
        return Surroundings({})
    # One further than the section reaches tells whether it goes on.
    least = SECTION_REACH + 1 if asked.section else 0
    before, after = max(asked.before, least), max(asked.after, least)
    async with reading.database.transaction(reading.access) as session:
        await prepare_for_search(session)
        found = await surroundings(session, passages, before, after, reading.wanted)
    opened = await readable(reading.texts, reading.access.tenant_id, found)
    at = {chunk_id: (each.version_id, each.ordinal) for chunk_id, each in opened.passages.items()}
    readable_ids = at.keys() - opened.out_of_reach
    places = _Places(
        {at[chunk_id]: opened.passages[chunk_id] for chunk_id in readable_ids},
        frozenset(at[chunk_id] for chunk_id in opened.out_of_reach),
    )
    return Surroundings(
        {passage.chunk_id: _context(passage, places, asked) for passage in passages},
        is_text_missing=bool(places.closed),
    )


def _context(passage: FoundPassage, places: _Places, asked: ContextRequest) -> HitContext:
    before = [*_from(passage, places, -1, asked.before)]
    return HitContext(
        before=tuple(map(_neighbour, reversed(before))),
        after=tuple(map(_neighbour, _from(passage, places, 1, asked.after))),
        section=_section(passage, places) if asked.section and passage.headings else None,
    )


def _from(passage: FoundPassage, places: _Places, step: int, most: int) -> Iterator[FoundPassage]:
    """The nearest first, until one is missing."""
    for distance in range(1, most + 1):
        neighbour = places.opened.get((passage.version_id, passage.ordinal + step * distance))
        if neighbour is None:
            return
        yield neighbour


def _neighbour(passage: FoundPassage) -> Neighbour:
    return Neighbour(chunk_id=passage.chunk_id, text=passage.text, pages=passage.pages)


def _section(passage: FoundPassage, places: _Places) -> Section:
    """The run of passages around the hit under the same headings, with the sections below them, as far as
    it reaches; cut at the far ends."""
    before, is_more_before = _under(passage, places, -1)
    after, is_more_after = _under(passage, places, 1)
    left = SECTION_CHARACTERS - len(passage.text)
    kept = [passage]
    is_whole = not (is_more_before or is_more_after)
    # By turns, so that the hit stays in the middle of a section that is too long.
    while before or after:
        for side in (before, after):
            if not side:
                continue
            nearest = side.pop(0)
            if len(nearest.text) + 1 > left:
                side.clear()
                is_whole = False
                continue
            left -= len(nearest.text) + 1
            kept.append(nearest)
    kept.sort(key=lambda each: each.ordinal)
    return Section(
        headings=passage.headings,
        text="\n".join(each.text for each in kept)[:SECTION_CHARACTERS],
        pages=tuple(sorted({page for each in kept for page in each.pages})),
        truncated=not is_whole or len(passage.text) > SECTION_CHARACTERS,
    )


def _under(passage: FoundPassage, places: _Places, step: int) -> tuple[list[FoundPassage], bool]:
    """Those of the section on one side, and whether it goes on behind them."""
    under = list[FoundPassage]()
    for neighbour in _from(passage, places, step, SECTION_REACH + 1):
        if neighbour.headings[: len(passage.headings)] != passage.headings:
            return under, False
        under.append(neighbour)
    following = (passage.version_id, passage.ordinal + step * (len(under) + 1))
    is_more = len(under) > SECTION_REACH or following in places.closed
    return under[:SECTION_REACH], is_more
