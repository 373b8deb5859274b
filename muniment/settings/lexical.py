"""Settings of the search by words."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class LexicalSettings(Group):
    """Search by words: how passages are scored (BM25), and how its index is kept."""

    k1: Annotated[
        float,
        Field(
            description="How much a word counts that is repeated in a passage: 0 not at all, 1.2 and more"
            " for long passages.",
            ge=0,
            le=10,
        ),
    ] = 1.2
    b: Annotated[
        float,
        Field(
            description="How much less a word counts in a passage that is longer than others: 0 not at"
            " all, 1 in proportion.",
            ge=0,
            le=1,
        ),
    ] = 0.75
    merge_minutes: Annotated[
        float,
        Field(
            description="How often what was published and deleted since is put in order in each tenant's"
            " index; 0: never.",
            ge=0,
            le=60 * 24 * 7,
        ),
    ] = 15.0
