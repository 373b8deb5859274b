"""What stands before and after passages, in the versions that the caller may read now."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.search import (
    SEARCHABLE,
    FileFilter,
    FoundPassage,
    filter_parameters,
    found_passage,
)

_SURROUNDINGS = f"""
WITH {SEARCHABLE},
places AS MATERIALIZED (
    SELECT DISTINCT asked.version_id, reached.ordinal
    FROM unnest(CAST(:version_ids AS uuid[]), CAST(:ordinals AS integer[]))
        AS asked(version_id, ordinal)
    CROSS JOIN LATERAL generate_series(asked.ordinal - :before, asked.ordinal + :after)
        AS reached(ordinal)
)
SELECT
    chunk.id,
    searchable.file_id,
    searchable.version_id,
    searchable.number,
    chunk.ordinal,
    searchable.name,
    chunk.text,
    chunk.headings,
    chunk.pages,
    chunk.sealed_text,
    chunk.text_key_id
FROM places
JOIN searchable ON searchable.version_id = places.version_id
JOIN chunk ON chunk.version_id = places.version_id AND chunk.ordinal = places.ordinal
WHERE searchable.wanted
"""  # noqa: S608 - made of the constants above; every value is bound


async def surroundings(
    session: AsyncSession,
    passages: Sequence[FoundPassage],
    before: int,
    after: int,
    wanted: FileFilter,
) -> dict[UUID, FoundPassage]:
    """The passages themselves and those up to `before` places before and `after` places behind each, by
    id; without boxes and marks."""
    rows = await session.execute(
        text(_SURROUNDINGS),
        {
            **filter_parameters(wanted),
            "version_ids": [passage.version_id for passage in passages],
            "ordinals": [passage.ordinal for passage in passages],
            "before": before,
            "after": after,
        },
    )
    return {row["id"]: found_passage(row) for row in rows.mappings()}
