"""Seals what a collection with `encrypted_text` does not have in the clear in the database."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from db.queries.publish import NewChunk
from db.queries.stages import NewBlob
from muniment.contracts.base import VersionReference
from muniment.contracts.text_modes import PassageText
from muniment.objects import NewTextKey
from muniment.objects.sealed_texts import passage_place
from muniment.sealing import TextKey

KNOWN_WITHOUT_WORDS = frozenset({"words", "hidden_text", "classification_gaps"})
"""Of `extracted`: counts, and names that are Muniment's own. Title, authors, dates and outline are the
document's words."""

LANGUAGE_LETTERS = 2
"""ISO 639-1. Three letters may be a word."""


@dataclass(frozen=True)
class PublishedKey:
    """The text key of one publication, and its blob as the database will know it."""

    blob: NewBlob
    key: TextKey


def published_key(made: NewTextKey) -> PublishedKey:
    blob = NewBlob(made.blob.blob_id, made.blob.size, made.blob.sha256)
    return PublishedKey(blob, made.key)


async def sealed_chunks(
    key: TextKey, version: VersionReference, chunks: Sequence[NewChunk]
) -> list[NewChunk]:
    """With their texts sealed, in a thread: a long document has a hundred thousand."""
    return await asyncio.to_thread(lambda: [_sealed(key, version, chunk) for chunk in chunks])


def without_words(extracted: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """What of `extracted` quotes nothing. The tag of the language is the document's to write, with five
    subtags of eight letters: the language's own two letters are left of it."""
    known = {name: value for name, value in extracted.items() if name in KNOWN_WITHOUT_WORDS}
    language = str(extracted.get("language", "")).partition("-")[0]
    return known | {"language": language} if len(language) == LANGUAGE_LETTERS else known


def _sealed(key: TextKey, version: VersionReference, new: NewChunk) -> NewChunk:
    place = passage_place(version.tenant_id, version.version_id, new.chunk.ordinal)
    said = PassageText(text=new.chunk.text, headings=new.chunk.headings)
    return replace(new, sealed_text=key.seal(said.model_dump_json().encode(), place))
