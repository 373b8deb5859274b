"""Whether others on the network could listen, and how long the API's own certificate is good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.health.checks import Finding, Fine
from muniment.exposure import Exposure, remedy, told
from muniment.transport.server import ServerCertificate

RENEWAL_TIME = timedelta(days=14)
"""An automatic renewal that is later than this has failed."""


@dataclass(frozen=True)
class TransportCheck:
    """`exposed`: the connections that the settings leave without verified TLS, and not on purpose."""

    exposed: Sequence[Exposure]

    async def probe(self) -> Finding | None:
        if not self.exposed:
            return None
        return Finding(
            f"without verified TLS to or from other machines: {told(self.exposed)}",
            remedy(self.exposed),
        )


@dataclass(frozen=True)
class CertificateCheck:
    """`certificate`: the API's own; None where it serves http."""

    certificate: ServerCertificate | None

    async def probe(self) -> Finding | Fine | None:
        if self.certificate is None:
            return None
        until = self.certificate.expires_at
        if self.certificate.renewal_failed:
            return Finding(
                "the API's certificate was changed, and what is there now cannot be used",
                "Put a certificate and its key where MUNIMENT_API__TLS_CERTIFICATE and __TLS_KEY say.",
            )
        if until - datetime.now(UTC) < RENEWAL_TIME:
            return Finding(
                f"the API's certificate ends at {until:%Y-%m-%d %H:%M} UTC",
                "Renew it; the API shows what is in the files within seconds.",
            )
        return Fine(f"good until {until:%Y-%m-%d}")
