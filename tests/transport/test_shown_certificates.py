"""Certificates that we show to servers: clamd's are renewed while the process runs, and of all it is told
when they end, before anything is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.health.checks import Finding
from api.health.transport import CertificateCheck
from db.transport import client_certificate
from muniment.connections import open_scanner, shown_certificates
from muniment.errors import ConfigurationError, ScannerUnavailable
from muniment.scanner import SCANNER_TLS
from muniment.settings import ScanSettings, Settings
from muniment.telemetry.metrics import metrics_text
from muniment.transport import ClientFiles, RenewingContext
from tests.certificates import Authority, Identity, server_tls
from tests.tls_relay import tls_before


def settings_of(ray: Identity, scanner: Identity) -> Settings:
    return Settings.model_validate(
        {
            "ray": {"tls_certificate": ray.certificate, "tls_key": ray.key},
            "scan": {"client_certificate": scanner.certificate, "client_key": scanner.key},
        }
    )


def figure(connection: str) -> float:
    [line] = [
        line
        for line in metrics_text().decode().splitlines()
        if line.startswith("muniment_certificate_expiry") and f'"{connection}"' in line
    ]
    return float(line.rpartition(" ")[2])


async def test_a_scanner_is_shown_the_renewed_certificate(
    clamd_socket: str, authority: Authority
) -> None:
    us = authority.issue("us.test", lives=timedelta(days=-1))
    with tls_before(clamd_socket, server_tls(authority.issue("127.0.0.1"), authority)) as port:
        settings = ScanSettings(
            ca_file=authority.file, client_certificate=us.certificate, client_key=us.key
        )
        scanner = open_scanner(f"127.0.0.1:{port}", settings, 60)
        with pytest.raises(ScannerUnavailable):
            await scanner.ping()
        authority.renew(us, "us.test", lives=timedelta(days=30))
        assert await scanner.ping()
        us.key.write_bytes(b"")  # as while one is replaced before the other
        assert await scanner.ping()


def test_files_that_cannot_be_used_are_refused_at_the_start_alone(authority: Authority) -> None:
    us = authority.issue("us.test")
    files = ClientFiles(authority.file, us.certificate, us.key)
    contexts = RenewingContext(files, SCANNER_TLS)
    before = contexts.newest()
    us.certificate.unlink()
    assert contexts.newest() is before
    with pytest.raises(ConfigurationError, match="MUNIMENT_SCAN__CLIENT_CERTIFICATE"):
        RenewingContext(files, SCANNER_TLS)
    authority.renew(us, "us.test", lives=timedelta(days=3))
    assert contexts.newest() is not before


async def test_what_ends_soon_is_told_with_what_to_do(authority: Authority) -> None:
    ray, scanner = authority.issue("a.test"), authority.issue("b.test")
    settings = settings_of(ray, scanner)
    assert await CertificateCheck(None, shown_certificates(settings)).probe() is None
    authority.renew(ray, "a.test", lives=timedelta(days=3))
    shown = shown_certificates(settings)
    found = await CertificateCheck(None, shown).probe()
    assert isinstance(found, Finding)
    assert "Ray is shown ends at" in found.reason
    assert "restart" in found.remedy
    assert figure("ray") - datetime.now(UTC).timestamp() < timedelta(days=4).total_seconds()
    authority.renew(ray, "a.test", lives=timedelta(days=90))
    found = await CertificateCheck(None, shown).probe()
    assert isinstance(found, Finding), "this process still shows the former one"
    assert "the file holds a newer one" in found.reason
    authority.renew(scanner, "b.test", lives=timedelta(days=3))
    found = await CertificateCheck(None, shown_certificates(settings)).probe()
    assert isinstance(found, Finding)
    assert (found.remedy, "virus scanner" in found.reason) == ("Renew it.", True)
    scanner.certificate.write_bytes(b"")
    found = await CertificateCheck(None, shown_certificates(settings)).probe()
    assert isinstance(found, Finding)
    assert "cannot be read" in found.reason
    assert figure("scanner") == 0


def test_the_certificate_of_a_dsn_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLCERT", raising=False)
    assert client_certificate("postgresql://database/muniment") is None
    assert client_certificate("postgresql://d/m?sslcert=/etc/us.pem") == Path("/etc/us.pem")
    monkeypatch.setenv("PGSSLCERT", "/etc/other.pem")
    assert client_certificate("postgresql://database/muniment") == Path("/etc/other.pem")
