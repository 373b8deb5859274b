"""Settings of erasure."""

from typing import Annotated

from pydantic import Field

from muniment.settings.group import Group


class ErasureSettings(Group):
    """What erasures do, and say of what Muniment does not see (docs/erasure.md)."""

    backup_days: Annotated[
        int | None,
        Field(
            description="How long the backups of database, keys and objects are kept: certificates state"
            " when the last one expires that was made before the erasure. Unset: that it is not known.",
            ge=0,
            le=3650,
        ),
    ] = None
    vacuum_hours: Annotated[
        float,
        Field(
            description="How often workers vacuum the tables that erasures have deleted rows from, where"
            " there are any; erasures tell when it was done. 0: never, PostgreSQL does it in its own time.",
            ge=0,
            le=8760,
        ),
    ] = 24.0
