"""Whether others on the network could listen, and how long the API's own certificate is good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.health.checks import Finding, Fine
from muniment.exposure import Exposure, remedy, told
from muniment.transport.server import ServerCertificate
from muniment.transport.shown import Renewal, ShownCertificate

RENEWAL_TIME = timedelta(days=14)
"""An automatic renewal that is later than this has failed."""


_TAKEN_BY = {
    Renewal.RESTART: "Restart API and workers.",
    Renewal.EXCHANGED: "It is shown within seconds; if not, the logs of API and workers say why.",
}
"""What makes a process show the newer certificate that is there."""


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
    """`certificate`: the API's own; None where it serves http. `shown`: those that it shows to servers."""

    certificate: ServerCertificate | None
    shown: Sequence[ShownCertificate] = ()

    async def probe(self) -> Finding | Fine | None:
        for each in self.shown:
            if (finding := _ending(each)) is not None:
                return finding
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


def _ending(shown: ShownCertificate) -> Finding | None:
    """A certificate that ends soon, and what is to be done about it."""
    ends_at = shown.ends_at()
    if ends_at is None:
        return Finding(
            f"the certificate that {shown.connection} is shown cannot be read",
            "Put one, with its key, where the settings or the DSN name them.",
        )
    if ends_at - datetime.now(UTC) >= RENEWAL_TIME:
        return None
    ending = (
        f"the certificate that {shown.connection} is shown ends at {ends_at:%Y-%m-%d %H:%M} UTC"
    )
    if shown.is_renewed_unseen:
        return Finding(f"{ending}; the file holds a newer one", _TAKEN_BY[shown.renewal])
    restart = ", and restart API and workers" if shown.renewal is Renewal.RESTART else ""
    return Finding(ending, f"Renew it{restart}.")
