"""What a TLS client of ours goes by: who may have signed the server's certificate, and who we are."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from muniment.errors import ConfigurationError
from muniment.transport.refusal import TlsSettings

logger = logging.getLogger(__name__)


FilesState = tuple[tuple[int, int, int] | None, ...]
"""Compared alone: another one, other files."""


@dataclass(frozen=True)
class ClientFiles:
    """PEM files. Without `authorities` those of the system are trusted, with it no others; certificate
    and key belong together and are what the server is shown."""

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def state(self) -> FilesState:
        """What tells that one of them is another: also one that a link leads to now."""
        return tuple(map(_state, (self.authorities, self.certificate, self.key)))


class RenewingContext:
    """A client's context for connections that come and go: made anew when its files have changed. New
    ones that cannot be used change nothing, and are logged once.

    Raises ConfigurationError, as `client_context` does, where those of the start cannot be used.
    """

    def __init__(self, files: ClientFiles, settings: TlsSettings) -> None:
        self._files = files
        self._settings = settings
        self._seen = files.state()
        self._newest = client_context(files, settings)

    def newest(self) -> ssl.SSLContext:
        """For a connection that begins now."""
        state = self._files.state()
        if state != self._seen:
            self._seen = state
            try:
                self._newest = client_context(self._files, self._settings)
            except ConfigurationError as error:
                logger.error("certificates of a client are not renewed: %s", error.detail)
        return self._newest


def client_context(files: ClientFiles, settings: TlsSettings) -> ssl.SSLContext:
    """Verifies the server's certificate and its name; TLS 1.2 or newer.

    Raises ConfigurationError, which names the setting, for files that cannot be read or used.
    """
    if (files.certificate is None) != (files.key is None):
        raise ConfigurationError(
            f"a client's certificate and its key belong together: {settings.identity}"
        )
    try:
        context = ssl.create_default_context(cafile=files.authorities)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"{settings.authorities} names no PEM file of authorities ({type(error).__name__})"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate is not None:
        load_identity(context, files.certificate, files.key, settings.identity)
    return context


def load_identity(
    context: ssl.SSLContext, certificate: Path, key: Path | None, named_by: str
) -> None:
    """Has the context show the certificate, whose chain the file may hold too.

    Raises ConfigurationError, which names the settings, where the files are no such pair.
    """
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:
        raise ConfigurationError(
            f"{named_by} name no certificate with its unencrypted key ({_reason(error)})"
        ) from error


def _state(path: Path | None) -> tuple[int, int, int] | None:
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    # Which rights change too: what could not be read may be by now.
    return (found.st_ino, found.st_ctime_ns, found.st_size) if found is not None else None


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or type(error).__name__
