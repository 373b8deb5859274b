"""Why TLS refused a connection, in an operator's words, whichever library met it.

OpenSSL (Python's ssl, urllib3, httpx, libpq) and rustls (Temporal's client) tell of the same
reasons in texts of their own. The texts are read and never repeated: they hold addresses and names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_MOST_CAUSES = 10


@dataclass(frozen=True)
class TlsSettings:
    """A connection, and what its operator sets: each a phrase that a remedy can name."""

    connection: str
    authorities: str
    address: str
    identity: str


class Refusal(Enum):
    """The reasons, each with the texts that tell of it: our own files first; then alerts, which are the
    server's word on us; then what we have against its certificate."""

    FILES = re.compile(
        r"(root )?certificate file .*does not exist|could not (load|read) .*(certificate|key) file"
        r"|private key file .*(does not exist|has group or world access|permission)"
        r"|present, but not private key",
        re.IGNORECASE,
    )
    IDENTITY = re.compile(
        r"alert[:\s_]*(received\()?(fatal alert: )?.{0,16}"
        r"(certificate|unknown[\s_]?ca|access[\s_]?denied|handshake[\s_]?failure|decrypt[\s_]?error)"
        r"|requires a valid client certificate|certificate authentication failed",
        re.IGNORECASE,
    )
    NAME = re.compile(
        r"hostname mismatch|ip address mismatch|does not match host name|NotValidForName",
        re.IGNORECASE,
    )
    TIME = re.compile(
        r"certificate has expired|certificate is not yet valid"
        r"|InvalidCertificate\((Expired|NotValidYet)",
        re.IGNORECASE,
    )
    AUTHORITY = re.compile(
        r"certificate verify failed|CERTIFICATE_VERIFY_FAILED|InvalidCertificate\(",
        re.IGNORECASE,
    )
    NO_TLS = re.compile(
        r"wrong[\s_]version[\s_]number|does not support SSL|InvalidContentType|record layer failure"
        r"|packet length too long",
        re.IGNORECASE,
    )
    NEEDS_TLS = re.compile(r"no pg_hba\.conf entry.*no encryption", re.IGNORECASE)

    def detail(self, settings: TlsSettings) -> str:
        """What happened, without a word of the server's."""
        return f"{settings.connection} {_WHAT[self]}"

    def remedy(self, settings: TlsSettings) -> str:
        return _REMEDY[self].format(settings=settings)


_WHAT = {
    Refusal.FILES: "cannot be connected to: a certificate or key of ours cannot be read",
    Refusal.IDENTITY: "refuses the client certificate that it was shown, or asks for one",
    Refusal.NAME: "has a certificate for another name than that of its address",
    Refusal.TIME: "has a certificate that has expired, or is not valid yet",
    Refusal.AUTHORITY: "has a certificate that cannot be trusted: its authority is another",
    Refusal.NO_TLS: "does not speak TLS",
    Refusal.NEEDS_TLS: "takes connections over TLS only",
}
_REMEDY = {
    Refusal.FILES: (
        "See that these name files which the process may read, a key with mode 0600:"
        " {settings.authorities}, {settings.identity}."
    ),
    Refusal.IDENTITY: (
        "Name a certificate that it accepts, and that has not expired, with its key:"
        " {settings.identity}."
    ),
    Refusal.NAME: (
        "Give it a certificate for the name in {settings.address}, or name it there as its"
        " certificate does."
    ),
    Refusal.TIME: "Renew its certificate, and see that the clocks of both machines are right.",
    Refusal.AUTHORITY: (
        "Name the authority that signed it: {settings.authorities}. If that is right, it is not"
        " the server that it should be, or its certificate has expired."
    ),
    Refusal.NO_TLS: "Turn TLS on there, or correct {settings.address}.",
    Refusal.NEEDS_TLS: "Turn TLS on: {settings.authorities}.",
}


def refusal_of(error: BaseException) -> Refusal | None:
    """None where TLS was not the reason, as far as the error and its causes tell."""
    for text in _texts(error):
        for refusal in Refusal:
            if refusal.value.search(text):
                return refusal
    return None


def _texts(error: BaseException | None) -> Iterator[str]:
    for _ in range(_MOST_CAUSES):
        if error is None:
            return
        yield str(error)
        error = error.__cause__ or error.__context__
