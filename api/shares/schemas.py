"""Share links as those who make them see them: never the token or the password, except for the link in
the answer that made it."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)
from pydantic.json_schema import SkipJsonSchema

from api.storable_text import LARGEST_INTEGER
from api.times import UtcTime

MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_CHARACTERS = 200
MAX_NETWORKS = 50
_MAPPED_BITS = 96


def _network(text: str) -> str:
    """In CIDR notation; bits behind the prefix are cut off, an address is a network of one."""
    try:
        return str(_unmapped(ip_network(text.strip(), strict=False)))
    except ValueError:
        raise ValueError("a network is written as 192.0.2.0/24 or 2001:db8::/32") from None


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """IPv4 as it is, where it was written as IPv6: so visitors' addresses are compared."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


Password = Annotated[
    SecretStr,
    Field(min_length=MIN_PASSWORD_CHARACTERS, max_length=MAX_PASSWORD_CHARACTERS),
]
NetworkText = Annotated[str, Field(max_length=64), AfterValidator(_network)]
Networks = Annotated[list[NetworkText], Field(max_length=MAX_NETWORKS)]
VersionNumber = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
MaxDownloads = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]


class Share(BaseModel):
    """A link by which a file is downloaded without a key. `version` null: the version in use when it is
    downloaded. `networks`: from where it may be; empty: from everywhere. `downloads` counts sessions of
    visitors that took content, not requests. `watermark`: what is handed out is a copy of the PDF whose
    pages say who shared it."""

    id: UUID
    file_id: UUID
    version: int | None
    created_by: UUID
    has_password: bool
    networks: list[str]
    max_downloads: int | None
    watermark: bool
    downloads: int
    created_at: UtcTime
    expires_at: UtcTime
    last_used_at: UtcTime | None
    revoked_at: UtcTime | None


class NewShare(BaseModel):
    """`expires_at`: after `MUNIMENT_SHARING__DEFAULT_DAYS` where none is given."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"file_id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11"},
                {
                    "file_id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11",
                    "version": 2,
                    "expires_at": "2027-01-31T12:00:00Z",
                    "password": "correct horse battery",
                    "networks": ["192.0.2.0/24", "2001:db8::/32"],
                    "max_downloads": 5,
                    "watermark": True,
                },
            ]
        },
    )

    file_id: UUID
    version: VersionNumber | None = None
    expires_at: AwareDatetime | None = None
    password: Password | None = None
    networks: Networks = []
    max_downloads: MaxDownloads | None = None
    watermark: bool = Field(
        default=False,
        description="Hand out a copy with the caller's name and id across each page. Of PDFs up to 64 MiB;"
        " a link to what is none hands out nothing.",
    )


class CreatedShare(Share):
    """`url` is shown this once; a repetition with the same Idempotency-Key has null."""

    url: str | None


class ShareChange(BaseModel):
    """What is absent stays; null takes the password or the limit of downloads away. Another password,
    or none, ends the sessions of all visitors."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"max_downloads": 10}, {"password": None, "networks": ["192.0.2.0/24"]}]
        },
    )

    expires_at: AwareDatetime | SkipJsonSchema[None] = None
    password: Password | None = None
    networks: Networks | SkipJsonSchema[None] = None
    max_downloads: MaxDownloads | None = None

    @field_validator("expires_at", "networks")
    @classmethod
    def _has_a_value(cls, given: object) -> object:
        """What is absent is not looked at."""
        if given is None:
            raise ValueError("cannot be taken away; no networks are written as []")
        return given
