"""The certificate that a server of ours shows, renewed while it serves."""

import asyncio
import logging
import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509

from muniment.errors import ConfigurationError
from muniment.transport.client import load_identity

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How soon a renewed certificate is shown."""

_State = tuple[tuple[int, int, int], ...]


class ServerCertificate:
    """`context` shows the newest certificate to every connection that comes; those that are open keep
    theirs. TLS 1.2 or newer. `named_by` are the settings that name the files.

    Raises ConfigurationError where the files are no certificate with its key.
    """

    def __init__(self, certificate: Path, key: Path, named_by: str) -> None:
        self._certificate = certificate
        self._key = key
        self._named_by = named_by
        self.context = _server_context()
        self.context.sni_callback = self._show_newest
        self.renewal_failed = False
        self._seen = self._state()
        self._newest, self.expires_at = self._load()

    async def watch(self) -> None:
        """Reads the files again when they change, until cancelled.

        Files that are no pair, as while one of them is replaced before the other, change nothing."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.renew()

    def renew(self) -> None:
        """Looks whether the files have changed, and shows what is in them."""
        state = self._state()
        if state == self._seen and not self.renewal_failed:
            return
        try:
            self._newest, self.expires_at = self._load()
        except ConfigurationError as error:
            if state != self._seen:
                logger.error("the certificate is not renewed: %s", error.detail)
            self.renewal_failed = True
        else:
            self.renewal_failed = False
            logger.info("the certificate is renewed", extra={"expires_at": str(self.expires_at)})
        self._seen = state

    def _load(self) -> tuple[ssl.SSLContext, datetime]:
        """A context that shows what the files hold now, and when that expires."""
        context = _server_context()
        load_identity(context, self._certificate, self._key, self._named_by)
        try:
            # It may have changed since, or be what only OpenSSL reads.
            shown = x509.load_pem_x509_certificate(self._certificate.read_bytes())
            return context, shown.not_valid_after_utc
        except (OSError, ValueError, x509.InvalidVersion) as error:
            raise ConfigurationError(
                f"{self._named_by} name no certificate that can be read ({type(error).__name__})"
            ) from error

    def _show_newest(
        self, connection: ssl.SSLObject, server_name: str | None, context: ssl.SSLContext
    ) -> None:
        """Called for every connection that comes, whether it names a server or not. A context that is
        whole takes the other's place, so that none ever has a certificate without its key."""
        connection.context = self._newest

    def _state(self) -> _State:
        """What tells that a file is another: also one that a link leads to now."""
        try:
            found = [path.stat() for path in (self._certificate, self._key)]
        except OSError:
            return ()
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
