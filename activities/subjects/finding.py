"""Looks through files for a person: what is said of them, what is masked in them, and their text."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from activities.classify.tokens import token_of
from activities.subjects.matching import CARRIED_CHARACTERS, Identifiers
from db.queries import subject_search
from db.queries.subject_search import FoundFile, SearchedFile, SearchedPassage
from db.session import Access, Database
from muniment.contracts.subject_requests import MatchSource
from muniment.objects import SealedText, SealedTexts
from muniment.objects.sealed_texts import passage_place
from muniment.sealing import KeyManagement

PASSAGES_AT_ONCE = 500


class SubjectSearch:
    """Of one person, over files of one tenant."""

    def __init__(
        self,
        database: Database,
        texts: SealedTexts,
        keys: KeyManagement,
        tenant_id: UUID,
        identifiers: Sequence[str],
    ) -> None:
        self._database = database
        self._sealed = texts
        self._keys = keys
        self._access = Access(tenant_id)
        self._values = identifiers
        self._identifiers = Identifiers(identifiers)
        self._tokens: dict[tuple[str, str], str] = {}

    async def look(self, files: Sequence[SearchedFile]) -> list[FoundFile]:
        """Those of the files that name the person. The text is read to its end however often it does:
        what is wanted is all of it, not the best of it."""
        version_of = {version: file.id for file in files for version in file.version_ids}
        described = Counter(
            file.id
            for file in files
            for each in file.words
            if self._identifiers.stands_within(each)
        )
        masked = await self._masked([*version_of])
        written = await self._written([*version_of])
        by_source = {
            MatchSource.METADATA: described,
            MatchSource.FINDING: _by_file(masked, version_of),
            MatchSource.TEXT: _by_file(written, version_of),
        }
        return [
            FoundFile(
                file.id,
                tuple(source.value for source, counts in by_source.items() if counts[file.id]),
                sum(counts[file.id] for counts in by_source.values()),
            )
            for file in files
            if any(counts[file.id] for counts in by_source.values())
        ]

    async def _masked(self, version_ids: Sequence[UUID]) -> Counter[UUID]:
        async with self._database.transaction(self._access) as session:
            entities = await subject_search.masked_entities(session, version_ids)
        tokens = [await self._token(entity, value) for entity in entities for value in self._values]
        if not tokens:
            return Counter()
        async with self._database.transaction(self._access) as session:
            return Counter(await subject_search.count_tokens(session, version_ids, tokens))

    async def _token(self, entity: str, value: str) -> str:
        if (entity, value) not in self._tokens:
            token = await token_of(self._keys, self._access.tenant_id, entity, value)
            self._tokens[entity, value] = token
        return self._tokens[entity, value]

    async def _written(self, version_ids: Sequence[UUID]) -> Counter[UUID]:
        """Passages that name the person, by version."""
        found = Counter[UUID]()
        after: tuple[UUID, int] | None = None
        carried, carried_of = "", None
        while passages := await self._passages(version_ids, after):
            texts = await self._opened(passages)
            for passage, (words, headings) in zip(passages, texts, strict=True):
                behind = carried if passage.version_id == carried_of else ""
                found[passage.version_id] += await asyncio.to_thread(
                    self._names, words, headings, behind
                )
                carried, carried_of = words[-CARRIED_CHARACTERS:], passage.version_id
            after = passages[-1].version_id, passages[-1].ordinal
        return found

    def _names(self, words: str, headings: Sequence[str], behind: str) -> bool:
        return self._identifiers.stands_in(words, behind=behind) or any(
            self._identifiers.stands_in(each) for each in headings
        )

    async def _passages(
        self, version_ids: Sequence[UUID], after: tuple[UUID, int] | None
    ) -> list[SearchedPassage]:
        async with self._database.transaction(self._access) as session:
            return await subject_search.next_passages(session, version_ids, after, PASSAGES_AT_ONCE)

    async def _opened(self, passages: Sequence[SearchedPassage]) -> list[tuple[str, Sequence[str]]]:
        return await opened_passages(self._sealed, self._access.tenant_id, passages)


async def opened_passages(
    texts: SealedTexts, tenant_id: UUID, passages: Sequence[SearchedPassage]
) -> list[tuple[str, Sequence[str]]]:
    """Text and headings of each, in their order. Raises as SealedTexts does."""
    sealed = [
        SealedText(
            tenant_id,
            each.text_key_id,
            passage_place(tenant_id, each.version_id, each.ordinal),
            each.sealed_text,
        )
        for each in passages
        if each.sealed_text is not None and each.text_key_id is not None
    ]
    opened = iter(await texts.passages(sealed))
    found: list[tuple[str, Sequence[str]]] = []
    for each in passages:
        if each.sealed_text is None:
            found.append((each.text, each.headings))
        else:
            passage = next(opened)
            found.append((passage.text, passage.headings))
    return found


def _by_file(counts: Counter[UUID], file_of: dict[UUID, UUID]) -> Counter[UUID]:
    found = Counter[UUID]()
    for version_id, count in counts.items():
        found[file_of[version_id]] += count
    return found
