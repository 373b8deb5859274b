"""Settings of who vouches for people besides ourselves."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from muniment.settings.group import Group


class OidcSettings(Group):
    """An OpenID Connect provider whose access tokens are taken wherever an API key is."""

    issuer: Annotated[
        str | None,
        Field(
            description="The issuer, as its tokens name it, such as"
            " `https://login.example.org/realms/staff`; unset: only our own tokens are taken."
        ),
    ] = None
    audience: Annotated[
        str | None,
        Field(
            description="What tokens for this API have in `aud`: a name that the issuer has for the API,"
            " and not the id of a client, which stands in ID tokens too."
        ),
    ] = None
    tenant: Annotated[
        str, Field(description="Name of the tenant that the issuer's people belong to.")
    ] = "default"
    tenant_claim: Annotated[
        str | None,
        Field(
            description="Claim that holds the tenant's name instead; a token without it is refused."
        ),
    ] = None
    create_principals: Annotated[
        bool,
        Field(
            description="Whoever comes for the first time becomes a principal, no administrator; off: an"
            " administrator binds principals to subjects first."
        ),
    ] = False
    name_claim: Annotated[
        str, Field(description="Claim that a principal made so is named by; without it, by `sub`.")
    ] = "preferred_username"
    groups_claim: Annotated[
        str | None,
        Field(
            description="Claim with names of groups: its principal belongs to our groups of these names,"
            " and to no others that the issuer had put it into. Unset: groups are ours alone."
        ),
    ] = None
    scopes: Annotated[
        Literal["role", "token"],
        Field(
            description="What a token allows: what its principal may (`role`), or only what its `scope`"
            " or `scp` names of that, in our words (`token`)."
        ),
    ] = "role"
    ca_file: Annotated[
        Path | None,
        Field(description="PEM file of authorities that are trusted besides the public ones."),
    ] = None

    @field_validator("issuer")
    @classmethod
    def _is_an_address(cls, issuer: str | None) -> str | None:
        """https, but on this machine: whoever can change what is fetched makes tokens."""
        if issuer is None:
            return None
        parts = urlsplit(issuer)
        if parts.query or parts.fragment or parts.username or not parts.hostname:
            raise ValueError("an issuer is an address without query and fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname)):
            raise ValueError("an issuer's address begins with https://")
        return issuer

    @model_validator(mode="after")
    def _has_an_audience(self) -> Self:
        if self.issuer is not None and not self.audience:
            raise ValueError("without an audience the tokens of every client would be taken")
        return self


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
