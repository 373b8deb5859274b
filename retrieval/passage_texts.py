"""What passages say, where a collection has its text sealed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import structlog

from db.models import ChunkRow
from db.queries.search import FoundPassage
from muniment.contracts.text_modes import PassageText
from muniment.objects import SealedText, SealedTexts
from muniment.objects.sealed_texts import passage_place

TEXT_OUT_OF_REACH = (
    "the text of some passages is missing: it is sealed, and could not be opened now"
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReadablePassages:
    """Passages by id with their texts; those in `out_of_reach` are without."""

    passages: dict[UUID, FoundPassage]
    out_of_reach: frozenset[UUID] = frozenset()


async def readable(
    texts: SealedTexts, tenant_id: UUID, found: Mapping[UUID, FoundPassage]
) -> ReadablePassages:
    """Opens those that are sealed. What cannot be opened stays without its text, so that the other hits
    are answered: its keys are out of reach, or were destroyed since it was found."""
    sealed = {
        passage.chunk_id: SealedText(
            tenant_id,
            passage.text_key_id,
            passage_place(tenant_id, passage.version_id, passage.ordinal),
            passage.sealed_text,
        )
        for passage in found.values()
        if passage.sealed_text is not None and passage.text_key_id is not None
    }
    opened = dict(zip(sealed, await texts.try_passages([*sealed.values()]), strict=True))
    passages, out_of_reach = dict(found), set[UUID]()
    for chunk_id, said in opened.items():
        if isinstance(said, PassageText):
            passages[chunk_id] = replace(
                found[chunk_id], text=said.text, headings=tuple(said.headings)
            )
        else:
            _log.warning("passage_not_unsealed", reason=said.problem)
            out_of_reach.add(chunk_id)
    return ReadablePassages(passages, frozenset(out_of_reach))


async def chunk_texts(texts: SealedTexts, rows: Sequence[ChunkRow]) -> dict[UUID, PassageText]:
    """What the chunks say, by id. Raises what SealedTexts.passages raises: of a document nothing is
    shown rather than half of it."""
    sealed = {
        row.id: SealedText(
            row.tenant_id,
            row.text_key_id,
            passage_place(row.tenant_id, row.version_id, row.ordinal),
            row.sealed_text,
        )
        for row in rows
        if row.sealed_text is not None and row.text_key_id is not None
    }
    plain = {
        row.id: PassageText(text=row.text, headings=tuple(row.headings))
        for row in rows
        if row.id not in sealed
    }
    opened = await texts.passages([*sealed.values()])
    return plain | dict(zip(sealed, opened, strict=True))
