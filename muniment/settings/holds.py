"""Settings of legal holds."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class HoldSettings(Group):
    """What holds for a matter unless whoever places it says otherwise (docs/legal-holds.md)."""

    cooling_off_days: Annotated[
        int,
        Field(
            description="How long what was held is kept as it is after a matter's release.",
            ge=0,
            le=3650,
        ),
    ] = 30
    reminder_days: Annotated[
        int,
        Field(
            description="How often custodians who have not acknowledged are reminded.", ge=1, le=365
        ),
    ] = 7
    review_days: Annotated[
        int,
        Field(description="How often a matter's queries and subjects are renewed.", ge=1, le=365),
    ] = 1
