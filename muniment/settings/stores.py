"""Settings of the object stores: the one that everything is put into, and the one for what is seldom
asked for."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from muniment.settings.group import Group


class StorePlace(Group):
    """Where a store is: a folder, or a bucket of an S3 server."""

    endpoint: Annotated[str | None, Field(description="host:port of the S3 API.")] = None
    region: Annotated[str | None, Field(description="S3 region.")] = None
    access_key: Annotated[SecretStr | None, Field(description="S3 access key.")] = None
    secret_key: Annotated[SecretStr | None, Field(description="S3 secret key.")] = None
    secure: Annotated[bool, Field(description="Use HTTPS for S3.")] = True
    ca_file: Annotated[
        Path | None,
        Field(description="PEM file of the S3 server's authorities; unset: the public ones."),
    ] = None


class ObjectSettings(StorePlace):
    """Where sealed content lies."""

    backend: Annotated[
        Literal["filesystem", "s3"], Field(description="A folder or an S3 store.")
    ] = "filesystem"
    root: Annotated[Path, Field(description="The folder, for `filesystem`.")] = Path("objects")
    bucket: Annotated[str, Field(description="S3 bucket.")] = "muniment"


class ColdStoreSettings(StorePlace):
    """Where sealed content lies that is seldom asked for, and what goes there."""

    backend: Annotated[
        Literal["filesystem", "s3"] | None,
        Field(description="A folder or an S3 store; unset: there is no second store."),
    ] = None
    root: Annotated[
        Path | None, Field(description="The folder, for `filesystem`: an absolute path.")
    ] = None
    bucket: Annotated[str, Field(description="S3 bucket.")] = "muniment-cold"
    storage_class: Annotated[
        Literal["STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"],
        Field(
            description="S3's storage class of what lies there. Out of GLACIER and DEEP_ARCHIVE content is"
            " retrieved before it is read, when somebody first asks for it."
        ),
    ] = "STANDARD"
    retrieval_days: Annotated[
        int,
        Field(description="For so many days what was retrieved can be read.", ge=1, le=365),
    ] = 7
    retrieval_tier: Annotated[
        Literal["Expedited", "Standard", "Bulk"],
        Field(description="How fast, and how dear, S3 retrieves: see its price list."),
    ] = "Standard"
    after_days: Annotated[
        float | None,
        Field(
            description="Content that nobody asked for in so many days goes there; unset: only what"
            " somebody sends there.",
            ge=1,
            le=36_600,
        ),
    ] = None
    min_bytes: Annotated[
        int, Field(description="Smaller content stays, unless somebody sends it there.", ge=0)
    ] = 1024**2
    collections: Annotated[
        tuple[str, ...],
        Field(
            description="JSON list of names: only content whose files all lie in these collections"
            " goes there by age; unset: of any."
        ),
    ] = ()
    interval_hours: Annotated[
        float,
        Field(
            description="How often content is looked for that is to be moved.", gt=0, le=24 * 366
        ),
    ] = 1.0
    grace_hours: Annotated[
        float,
        Field(
            description="For so long after a move the former copy stays where it was.",
            ge=1,
            le=24 * 366,
        ),
    ] = 24.0
    bytes_per_second: Annotated[
        int,
        Field(description="Most bytes a second that a worker process moves.", ge=1024**2),
    ] = 20 * 1024**2
