"""A certificate of the API that cannot be used: told at the start, passed over while it serves."""

from pathlib import Path

import pytest

from muniment.errors import ConfigurationError
from muniment.transport.server import ServerCertificate
from tests.certificates import Authority


def only_openssl_reads(certificate: Path) -> bytes:
    return certificate.read_bytes().replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE")


def test_a_renewal_that_only_openssl_reads_does_not_end_renewal(authority: Authority) -> None:
    """So does one that is emptied between the two times that it is read, as `cp` does."""
    identity = authority.issue("127.0.0.1")
    certificate = ServerCertificate(identity.certificate, identity.key, "THE SETTINGS")
    right = identity.certificate.read_bytes()
    identity.certificate.write_bytes(only_openssl_reads(identity.certificate))
    certificate.renew()
    assert certificate.renewal_failed
    identity.certificate.write_bytes(b"")
    certificate.renew()
    assert certificate.renewal_failed
    identity.certificate.write_bytes(right)
    certificate.renew()
    assert not certificate.renewal_failed


def test_at_the_start_it_is_told_by_its_settings(authority: Authority) -> None:
    identity = authority.issue("127.0.0.1")
    identity.certificate.write_bytes(only_openssl_reads(identity.certificate))
    with pytest.raises(ConfigurationError, match="THE SETTINGS name no certificate"):
        ServerCertificate(identity.certificate, identity.key, "THE SETTINGS")
