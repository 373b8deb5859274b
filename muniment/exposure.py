"""Which connections others on the network could read or answer: those without verified TLS.

For composition roots, as `muniment.stores`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from muniment.errors import ConfigurationError
from muniment.settings import ApiSettings, Settings

WEBHOOK_ENDPOINTS = "webhooks"
"""Stands for hosts that the tenants name."""
OWN_RAY = "ray"
"""Stands for this machine's addresses, at all of which a Ray listens that a worker starts itself."""
RAY_ADVICE = "Set MUNIMENT_RAY__TLS_CERTIFICATE, __TLS_KEY and __CA_FILE."


@dataclass(frozen=True)
class Exposure:
    """A connection to or from another machine that is not TLS with a verified certificate; `remedy`
    says what to set."""

    connection: str
    host: str
    remedy: str


def exposures(
    settings: Settings,
    database: Sequence[Exposure],
    environment: Mapping[str, str],
    *,
    starts_ray: bool = False,
) -> tuple[Exposure, ...]:
    """Those of the service. `database`: those of the DSN, which only `db` reads. `environment`: what Ray
    takes its TLS from besides our settings. `starts_ray`: the process is a worker with a Ray of its own."""
    found = [*database, *_exposures(settings)]
    if not _ray_uses_tls(settings, environment):
        if settings.ray.address:
            found.append(Exposure("Ray", _host(settings.ray.address), RAY_ADVICE))
        elif starts_ray:
            found.append(Exposure("the worker's own Ray", OWN_RAY, RAY_ADVICE))
    return unintended(settings, found)


def unintended(settings: Settings, found: Sequence[Exposure]) -> tuple[Exposure, ...]:
    """Without those that stay on this machine, and those that the operator wants so."""
    intended = settings.transport.plaintext_host_names
    return tuple(
        each for each in found if not is_local(each.host) and each.host.lower() not in intended
    )


def refuse_exposed(settings: Settings, found: Sequence[Exposure]) -> None:
    """Raises ConfigurationError where the operator wants TLS everywhere and it is not."""
    if settings.transport.require_tls and found:
        raise ConfigurationError(
            f"MUNIMENT_TRANSPORT__REQUIRE_TLS is set, and TLS is not: {told(found)}",
            remedy=remedy(found),
        )


def told(found: Sequence[Exposure]) -> str:
    return ", ".join(each.connection for each in found)


def remedy(found: Sequence[Exposure]) -> str:
    advice = " ".join(dict.fromkeys(each.remedy for each in found))
    return f"{advice} Or name what is meant so in MUNIMENT_TRANSPORT__PLAINTEXT_HOSTS."


def is_local(host: str) -> bool:
    """Whether it is this machine: nothing to it crosses a network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _exposures(settings: Settings) -> Iterator[Exposure]:
    if not settings.temporal.uses_tls:
        advice = "Set MUNIMENT_TEMPORAL__TLS."
        yield Exposure("Temporal", _host(settings.temporal.address), advice)
    for name, store, group in (
        ("the object store", settings.objects, "OBJECTS"),
        ("the cold store", settings.cold_store, "COLD_STORE"),
        ("the second place of audit checkpoints", settings.audit_copies, "AUDIT_COPIES"),
    ):
        if store.backend == "s3" and not store.secure:
            advice = f"Set MUNIMENT_{group}__SECURE."
            yield Exposure(name, _host(store.endpoint or ""), advice)
    for source in settings.imports.sources:
        if source.endpoint and not source.secure:
            advice = "Set `secure` in MUNIMENT_IMPORTS__SOURCES."
            yield Exposure("a source of imports", _host(source.endpoint), advice)
    scanner = settings.scan.socket or ""
    if ":" in scanner and not scanner.startswith("/") and not settings.scan.uses_tls:
        advice = "Put a TLS terminator before clamd and set MUNIMENT_SCAN__TLS."
        yield Exposure("the virus scanner", _host(scanner), advice)
    if settings.surya.url:
        yield from _of_url("the Surya server", settings.surya.url, "MUNIMENT_SURYA__URL")
    for model in settings.models.providers:
        yield from _of_url(f"the language model {model.name}", model.url, "its `url`")
    if settings.webhooks.allow_http:
        advice = "Take MUNIMENT_WEBHOOKS__ALLOW_HTTP away."
        yield Exposure("webhooks", WEBHOOK_ENDPOINTS, advice)
    if settings.telemetry.otlp_endpoint:
        endpoint = settings.telemetry.otlp_endpoint
        yield from _of_url("traces", endpoint, "MUNIMENT_TELEMETRY__OTLP_ENDPOINT")
    if settings.worker.metrics_port is not None:
        advice = "Set MUNIMENT_WORKER__METRICS_HOST to the loopback address."
        yield Exposure("the workers' /metrics", settings.worker.metrics_host, advice)
    yield from _of_api(settings.api)


def _ray_uses_tls(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Of Ray's own variables only as it reads them: with `RAY_USE_TLS` it asks for a certificate of its
    authority, and does not start without its files (Ray, TLS authentication)."""
    if settings.ray.tls_certificate is not None:
        return True
    return environment.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def _of_url(connection: str, url: str, variable: str) -> Iterator[Exposure]:
    parts = urlsplit(url)
    if parts.scheme != "https":
        yield Exposure(connection, parts.hostname or "", f"Give {variable} an https address.")


def _of_api(settings: ApiSettings) -> Iterator[Exposure]:
    """Also behind a proxy: whoever reaches the port speaks plainly with it, and so does the proxy."""
    if settings.tls_certificate is None:
        advice = (
            "Set MUNIMENT_API__TLS_CERTIFICATE and __TLS_KEY, or MUNIMENT_API__HOST to the loopback"
            " address, with the proxy that TLS ends at on this machine."
        )
        yield Exposure("the API", settings.host, advice)


def _host(address: str) -> str:
    """Of host:port, or of a host alone; IPv6 in brackets."""
    return urlsplit(f"//{address}").hostname or ""
