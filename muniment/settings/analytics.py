"""Settings of what is kept of queries."""

from typing import Annotated, Literal

from pydantic import Field

from muniment.settings.group import Group


class AnalyticsSettings(Group):
    """What is kept of searches and questions, of tenants that have set nothing else (docs/analytics.md)."""

    keeps: Annotated[
        Literal["nothing", "counts", "text"],
        Field(
            description="`counts`: times and numbers, by a keyed hash of a query's words; `text`: the words"
            " too; `nothing`."
        ),
    ] = "counts"
    keep_days: Annotated[
        int, Field(description="For how many days that is kept.", ge=1, le=3650)
    ] = 30
