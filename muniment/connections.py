"""Connections to servers as the settings have them, which API and workers open in the same way.

For composition roots, as `muniment.stores`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from temporalio.service import TLSConfig

from muniment.errors import OrchestratorUnavailable
from muniment.scanner import SCANNER_TLS, Clamd, ScannerTls
from muniment.settings import ScanSettings, Settings, TemporalSettings
from muniment.telemetry.metrics import watch_certificate
from muniment.transport import (
    ClientFiles,
    RenewingContext,
    TlsSettings,
    client_context,
    refusal_of,
)
from muniment.transport.shown import ShownCertificate

TEMPORAL = TlsSettings(
    "Temporal",
    authorities="MUNIMENT_TEMPORAL__CA_FILE",
    address="MUNIMENT_TEMPORAL__ADDRESS (or MUNIMENT_TEMPORAL__SERVER_NAME)",
    identity="MUNIMENT_TEMPORAL__CLIENT_CERTIFICATE and __CLIENT_KEY",
)


def temporal_tls(settings: TemporalSettings) -> TLSConfig | bool:
    """False: none. Raises ConfigurationError for files that cannot be used."""
    if not settings.uses_tls:
        return False
    files = ClientFiles(settings.ca_file, settings.client_certificate, settings.client_key)
    client_context(files, TEMPORAL)  # Temporal's client would not say which file is wrong
    authorities, certificate, key = (
        path.read_bytes() if path else None
        for path in (files.authorities, files.certificate, files.key)
    )
    return TLSConfig(
        server_root_ca_cert=authorities,
        domain=settings.server_name,
        client_cert=certificate,
        client_private_key=key,
    )


@contextmanager
def temporal_refusals_as_ours() -> Iterator[None]:
    """Raises OrchestratorUnavailable, with the remedy, where TLS refused the connection to Temporal;
    the SDK's RuntimeError for everything else that keeps it from connecting."""
    try:
        yield
    except RuntimeError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise OrchestratorUnavailable(
            refusal.detail(TEMPORAL), remedy=refusal.remedy(TEMPORAL)
        ) from error


def shown_certificates(
    settings: Settings, database: Path | None = None
) -> tuple[ShownCertificate, ...]:
    """Those that a process shows to servers, read at its start; its metrics tell from here on when they
    end. `database`: the one of the DSN, which only `db` reads."""
    named = (
        ("temporal", "Temporal", settings.temporal.client_certificate, False),
        ("scanner", "the virus scanner", settings.scan.client_certificate, True),
        ("ray", "Ray", settings.ray.tls_certificate, False),
        ("postgresql", "PostgreSQL", database, True),
    )
    shown = tuple(
        ShownCertificate(name, connection, path, reloads)
        for name, connection, path, reloads in named
        if path is not None
    )
    for each in shown:
        watch_certificate(each.name, each.ends_at)
    return shown


def open_scanner(
    address: str,
    settings: ScanSettings,
    timeout_seconds: float,
    connect_timeout_seconds: float | None = None,
) -> Clamd:
    """The virus scanner at the address; nothing is connected to yet. Raises ConfigurationError."""
    tls = None
    if settings.uses_tls and not address.startswith("/"):
        files = ClientFiles(settings.ca_file, settings.client_certificate, settings.client_key)
        tls = ScannerTls(RenewingContext(files, SCANNER_TLS), settings.server_name)
    if connect_timeout_seconds is None:
        return Clamd(address, timeout_seconds, tls=tls)
    return Clamd(address, timeout_seconds, connect_timeout_seconds, tls=tls)
