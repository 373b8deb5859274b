"""Settings of what becomes of files that nothing keeps any more."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class RetentionSettings(Group):
    """Sweeps of each tenant's files (docs/retention.md)."""

    sweep_hours: Annotated[
        float, Field(description="How often each tenant's files are looked at; 0: never.", ge=0)
    ] = 24.0
    sweep_share: Annotated[
        float,
        Field(
            description="The share of a tenant's files that a sweep deletes or relabels without asking;"
            " of more it asks a person first.",
            ge=0,
            le=1,
        ),
    ] = 0.05
    sweep_files: Annotated[
        int,
        Field(description="So many files it deletes or relabels in any case without asking.", ge=0),
    ] = 25
    decision_days: Annotated[
        float,
        Field(
            description="How long a sweep waits for a decision, before it ends as expired.", gt=0
        ),
    ] = 30.0
