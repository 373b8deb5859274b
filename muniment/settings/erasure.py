"""Settings of erasure."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class ErasureSettings(Group):
    """What certificates of erasure say of what Muniment does not see (docs/erasure.md)."""

    backup_days: Annotated[
        int | None,
        Field(
            description="How long the backups of database, keys and objects are kept: certificates state"
            " when the last one expires that was made before the erasure. Unset: that it is not known.",
            ge=0,
            le=3650,
        ),
    ] = None
