"""Connections to servers as the settings have them, which API and workers open in the same way.

For composition roots, as `muniment.stores`.
"""

from collections.abc import Iterable, Iterator
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
from muniment.transport.shown import Renewal, ShownCertificate

TEMPORAL = TlsSettings(
    "Temporal",
    authorities="MUNIMENT_TEMPORAL__CA_FILE",
    address="MUNIMENT_TEMPORAL__ADDRESS (or MUNIMENT_TEMPORAL__SERVER_NAME)",
    identity="MUNIMENT_TEMPORAL__CLIENT_CERTIFICATE and __CLIENT_KEY",
)


def temporal_files(settings: TemporalSettings) -> ClientFiles:
    """What a connection to Temporal is made with, where it is TLS."""
    return ClientFiles(settings.ca_file, settings.client_certificate, settings.client_key)


def temporal_tls(settings: TemporalSettings) -> TLSConfig | bool:
    """False: none. Raises ConfigurationError for files that cannot be used."""
    if not settings.uses_tls:
        return False
    files = temporal_files(settings)
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
    """Those that a process shows to servers, as they are at its start; its metrics tell from here on when
    they end. `database`: the one of the DSN, which only `db` reads."""
    named = (
        ("temporal", "Temporal", settings.temporal.client_certificate, Renewal.EXCHANGED),
        ("scanner", "the virus scanner", settings.scan.client_certificate, Renewal.READ_ANEW),
        ("ray", "Ray", settings.ray.tls_certificate, Renewal.RESTART),
        ("postgresql", "PostgreSQL", database, Renewal.READ_ANEW),
    )
    shown = tuple(
        ShownCertificate(name, connection, path, renewal)
        for name, connection, path, renewal in named
        if path is not None
    )
    for each in shown:
        watch_certificate(each.name, each.ends_at)
    return shown


def shown_to(shown: Iterable[ShownCertificate], name: str) -> ShownCertificate | None:
    """The one of that name; None where none is shown."""
    return next((each for each in shown if each.name == name), None)


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
