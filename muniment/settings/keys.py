"""Settings of where the keys are."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from muniment.settings.group import Group


class KeyProviderSettings(Group):
    """What holds the tenants' keys, and how it is reached."""

    provider: Annotated[
        Literal["file", "vault", "aws"],
        Field(
            description="What wraps data keys: the key file, the transit engine of Vault or OpenBao, or"
            " AWS KMS (an extra). Another than content was sealed under needs the former one in"
            " `MUNIMENT_KEYS__FORMER`."
        ),
    ] = "file"
    address: Annotated[
        str | None,
        Field(
            description="Of Vault, such as `https://vault.example.org:8200`; of AWS KMS, where it is not"
            " the region's own. `http://` on this machine only.",
            pattern=r"^https?://[^/\s@]+/?$",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Field(description="File with Vault's token, read anew at each use: an agent may renew it."),
    ] = None
    token: Annotated[SecretStr | None, Field(description="Vault's token, instead of a file.")] = (
        None
    )
    mount: Annotated[
        str, Field(description="Where Vault's transit engine is mounted.", pattern=r"^[\w/-]+$")
    ] = "transit"
    namespace: Annotated[str | None, Field(description="Vault's namespace.")] = None
    ca_file: Annotated[
        Path | None,
        Field(
            description="PEM file of authorities that Vault's certificate may come from besides."
        ),
    ] = None
    region: Annotated[str | None, Field(description="AWS region.")] = None
    access_key: Annotated[
        SecretStr | None,
        Field(
            description="AWS access key; unset, with the next: as AWS's tools find theirs (environment,"
            " profile, role of the machine)."
        ),
    ] = None
    secret_key: Annotated[SecretStr | None, Field(description="AWS secret key.")] = None
    timeout_seconds: Annotated[
        float,
        Field(
            description="Longest wait for an answer of Vault or AWS KMS; each request has three"
            " attempts.",
            gt=0,
            le=30,
        ),
    ] = 2.0

    @model_validator(mode="after")
    def _names_what_its_provider_needs(self) -> Self:
        if self.provider == "vault" and not (self.address and (self.token_file or self.token)):
            raise ValueError("Vault needs an address, and a token_file or a token")
        if self.address and not _keeps_secrets(self.address):
            raise ValueError("tokens and data keys go by https, and by http on this machine only")
        if self.provider == "aws" and not self.region:
            raise ValueError("AWS KMS needs a region")
        if bool(self.access_key) is not bool(self.secret_key):
            raise ValueError("an access key and a secret key belong together")
        return self


class KeySettings(KeyProviderSettings):
    """Keys; they never lie in PostgreSQL."""

    root: Annotated[
        Path,
        Field(
            description="Folder of the key file or of the tenants' key records, of the payload key and"
            " of the wrapped data keys."
        ),
    ] = Path("keys")
    former: Annotated[
        tuple[KeyProviderSettings, ...],
        Field(
            description="JSON list of the providers that wrapped data keys before, each with `provider`"
            " and what belongs to it (`address`, `token_file`, … as here), until all is wrapped anew:"
            " `/readyz` tells when one may go. One of each kind at most."
        ),
    ] = ()
    retire_after_hours: Annotated[
        float,
        Field(
            description="So long after a rotation the tenant's old key goes on unwrapping, for uploads"
            " that were under way: longer than any takes.",
            ge=1,
            le=24 * 366,
        ),
    ] = 24.0

    @model_validator(mode="after")
    def _has_one_provider_of_a_kind(self) -> Self:
        """Whose a wrapped data key is, its format says."""
        kinds = [self.provider, *(former.provider for former in self.former)]
        if len(set(kinds)) < len(kinds):
            raise ValueError("a former provider is of another kind than the rest")
        return self


def _keeps_secrets(address: str) -> bool:
    """Whether nobody on a network reads what is sent there."""
    parts = urlsplit(address)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
