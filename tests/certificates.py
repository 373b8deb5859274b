"""Certificates of authorities that the tests make: right ones, and wrong ones of every kind."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Identity:
    """PEM files of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; its files lie in the folder. `file` is what whoever trusts it is given."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._issued = 0
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, lives: timedelta = timedelta(days=30)) -> Identity:
        """For host names and addresses; one whose life is negative has expired."""
        began = datetime.now(UTC) - timedelta(days=400)
        issued = self._authority.issue_cert(
            *names, not_before=began, not_after=datetime.now(UTC) + lives
        )
        self._issued += 1
        identity = Identity(
            self._folder / f"{self._issued}.pem", self._folder / f"{self._issued}.key"
        )
        write_over(identity, issued)
        return identity

    def renew(self, identity: Identity, *names: str, lives: timedelta) -> None:
        """Puts another certificate in the place of one, as a renewal does: key and chain anew."""
        began = datetime.now(UTC) - timedelta(days=400)
        issued = self._authority.issue_cert(
            *names, not_before=began, not_after=datetime.now(UTC) + lives
        )
        write_over(identity, issued)


def write_over(identity: Identity, issued: trustme.LeafCert) -> None:
    chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
    for path, content in (
        (identity.certificate, chain),
        (identity.key, issued.private_key_pem.bytes()),
    ):
        path.touch(mode=0o600)
        path.write_bytes(content)


def server_tls(identity: Identity, clients_of: Authority | None = None) -> ssl.SSLContext:
    """A server's context; with `clients_of` it takes nobody without a certificate of that authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(identity.certificate, identity.key)
    if clients_of is not None:
        context.load_verify_locations(clients_of.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
