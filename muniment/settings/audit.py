"""Settings of the audit trail's seal."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from muniment.settings.group import Group
from muniment.settings.stores import StorePlace


class AuditSettings(Group):
    """How the audit trail is sealed (docs/audit.md)."""

    origin: Annotated[
        str,
        Field(
            description="What the installation is called in the checkpoints that it signs, such as"
            " `muniment.example.org`. It stays: whoever verifies knows it with the key.",
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$",
        ),
    ] = "muniment"
    seal_seconds: Annotated[
        float,
        Field(
            description="How often what was written is sealed, where anything was.", ge=1, le=3600
        ),
    ] = 5.0


class AuditCopiesSettings(StorePlace):
    """The second place, to which every signed checkpoint is copied: out of reach of whoever may change the
    database, such as a bucket with object lock (docs/audit.md)."""

    backend: Annotated[
        Literal["filesystem", "s3"] | None,
        Field(description="A folder or an S3 store; unset: there is no second place."),
    ] = None
    root: Annotated[
        Path | None, Field(description="The folder, for `filesystem`: an absolute path.")
    ] = None
    bucket: Annotated[str, Field(description="S3 bucket.")] = "muniment-audit"
