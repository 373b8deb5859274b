"""Settings of the servers that the service stands on, and of all connections together."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from muniment.settings.group import Group


class DatabaseSettings(Group):
    """PostgreSQL with pgvector."""

    url: Annotated[
        SecretStr,
        Field(
            description="DSN of the application role, which owns nothing and bypasses nothing. TLS is"
            " set in it: `?sslmode=verify-full&sslrootcert=…` (docs/transport.md)."
        ),
    ] = SecretStr("postgresql://muniment_app@127.0.0.1:5432/muniment")
    owner_url: Annotated[
        SecretStr | None, Field(description="DSN of the schema's owner, for migrations only.")
    ] = None
    pool_size: Annotated[int, Field(description="Connections per process.", ge=1)] = 10
    statement_timeout_seconds: Annotated[
        float, Field(description="Longest statement of a request or activity.")
    ] = 30.0


class TemporalSettings(Group):
    """The Temporal cluster."""

    address: Annotated[str, Field(description="host:port of the frontend.")] = "127.0.0.1:7233"
    namespace: Annotated[str, Field(description="Namespace of all workflows.")] = "default"
    ui_url: Annotated[str | None, Field(description="Temporal Web UI, for the links in jobs.")] = (
        None
    )
    api_key: Annotated[SecretStr | None, Field(description="API key (Temporal Cloud).")] = None
    tls: Annotated[
        bool,
        Field(description="Connect with TLS; an API key or one of the files below implies it."),
    ] = False
    ca_file: Annotated[
        Path | None,
        Field(description="PEM file of the frontend's authorities; unset: the public ones."),
    ] = None
    server_name: Annotated[
        str | None,
        Field(description="Name in the frontend's certificate, where it is not the address's."),
    ] = None
    client_certificate: Annotated[
        Path | None, Field(description="PEM file of the certificate that the frontend is shown.")
    ] = None
    client_key: Annotated[Path | None, Field(description="PEM file of its key, unencrypted.")] = (
        None
    )

    @property
    def uses_tls(self) -> bool:
        named = (self.api_key, self.ca_file, self.server_name, self.client_certificate)
        return self.tls or any(each is not None for each in (*named, self.client_key))


class TransportSettings(Group):
    """Connections of all kinds."""

    require_tls: Annotated[
        bool,
        Field(
            description="API and workers do not start where a connection to or from another machine"
            " would not be TLS with a verified certificate; off: `/readyz` names those connections."
        ),
    ] = False
    plaintext_hosts: Annotated[
        str | None,
        Field(
            description="Hosts, joined by `,`, that are spoken with without TLS on purpose, such as"
            " those of a network of their own. `0.0.0.0`: the API may listen so."
        ),
    ] = None

    @property
    def plaintext_host_names(self) -> frozenset[str]:
        return frozenset(
            each.strip().lower() for each in (self.plaintext_hosts or "").split(",") if each.strip()
        )
