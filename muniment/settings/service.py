"""Settings of what the service stands on: API, database, Temporal, stores, workers, limits."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator, model_validator

from muniment.settings.group import Group
from muniment.settings.origins import named_origins

Network = IPv4Network | IPv6Network


class ApiSettings(Group):
    """The HTTP API, and how its clients reach it."""

    host: Annotated[str, Field(description="Address the API listens on.")] = "127.0.0.1"
    port: Annotated[int, Field(description="Port the API listens on.", ge=0, le=65535)] = 8080
    metrics_port: Annotated[
        int | None,
        Field(description="A port of its own for `/metrics`; unset: on the API, behind a scope."),
    ] = None
    url: Annotated[
        str | None, Field(description="Where the command line and the client find the API.")
    ] = None
    key: Annotated[SecretStr | None, Field(description="API key of the command line.")] = None
    ca_file: Annotated[
        Path | None,
        Field(
            description="PEM file of the authorities that the command line and the client trust for"
            " an API over https; unset: the public ones."
        ),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        Field(
            description="PEM file of the certificate, with its chain, that the API serves https with;"
            " unset: http. A renewed one is shown within seconds."
        ),
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM file of its key, unencrypted.")] = None
    strict_transport_seconds: Annotated[
        int,
        Field(
            description="With TLS: for so long browsers go to this host (all of its ports) by https"
            " alone (`Strict-Transport-Security`); 0: not told.",
            ge=0,
        ),
    ] = 24 * 3600
    max_upload_bytes: Annotated[int, Field(description="Largest upload accepted, in bytes.")] = (
        16 * 1024**3
    )
    max_concurrent_uploads: Annotated[
        int, Field(description="Uploads one API process receives at a time; more get 429.", ge=1)
    ] = 64
    max_open_uploads: Annotated[
        int,
        Field(description="Unfinished resumable uploads (tus) of a tenant; more get 429.", ge=1),
    ] = 1_000
    max_open_upload_bytes: Annotated[
        int,
        Field(
            description="Bytes of a tenant's unfinished resumable uploads together, each by the length"
            " it announced; more get 429.",
            ge=1,
        ),
    ] = 1024**4
    max_open_jobs: Annotated[
        int,
        Field(
            description="Jobs of a tenant that have not ended, those that wait included; who uploads or"
            " asks for more gets 429.",
            ge=1,
            le=10_000_000,
        ),
    ] = 100_000
    max_open_batches: Annotated[
        int, Field(description="Batches of a tenant that have not ended; more get 429.", ge=1)
    ] = 100
    upload_expiry_hours: Annotated[
        float,
        Field(description="How long an unfinished upload waits for its next bytes.", ge=2),
    ] = 24.0
    max_archive_files: Annotated[
        int, Field(description="Most files that one ZIP download holds.", ge=1, le=10_000)
    ] = 1_000
    max_concurrent_archives: Annotated[
        int, Field(description="ZIP downloads one API process makes at a time; more get 429.", ge=1)
    ] = 16
    max_concurrent_comparisons: Annotated[
        int,
        Field(
            description="Pairs of versions one API process compares at a time; more get 429.", ge=1
        ),
    ] = 4
    max_event_streams: Annotated[
        int, Field(description="Event streams one API process serves; more get 429.", ge=1)
    ] = 2000
    query_timeout_seconds: Annotated[
        float,
        Field(description="How long a workflow query may take before the job's row answers."),
    ] = 0.5
    view_timeout_seconds: Annotated[
        float,
        Field(description="How long a page's picture or Markdown is waited for before 503.", gt=0),
    ] = 15.0
    trusted_proxies: Annotated[
        str | None,
        Field(
            description="Networks of the proxies before the API, joined by `,`: only what these say in"
            " `X-Forwarded-For` and `X-Forwarded-Proto` counts. Unset: nobody's word."
        ),
    ] = None

    allowed_origins: Annotated[
        str | None,
        Field(
            description="Origins of pages elsewhere that may call the API from a browser, such as"
            " `https://desk.example.org`, joined by `,`; each is named, `*` is refused. Unset: none."
        ),
    ] = None

    @field_validator("allowed_origins")
    @classmethod
    def _names_origins(cls, allowed_origins: str | None) -> str | None:
        named_origins(allowed_origins)
        return allowed_origins

    @property
    def origins(self) -> tuple[str, ...]:
        return named_origins(self.allowed_origins)

    @field_validator("trusted_proxies")
    @classmethod
    def _names_networks(cls, trusted_proxies: str | None) -> str | None:
        _networks(trusted_proxies)
        return trusted_proxies

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        return _networks(self.trusted_proxies)


def _networks(joined: str | None) -> tuple[Network, ...]:
    """Raises ValueError for what is no network."""
    return tuple(ip_network(each.strip()) for each in (joined or "").split(",") if each.strip())


class SignInSettings(Group):
    """How people sign in with a password."""

    access_token_minutes: Annotated[
        float, Field(description="How long an access token is good.", gt=0, le=24 * 60)
    ] = 15.0
    refresh_token_days: Annotated[
        float,
        Field(description="For so long unused, a sign-in is over.", gt=0, le=366),
    ] = 14.0
    longest_days: Annotated[
        float, Field(description="So long after it began, a sign-in is over.", gt=0, le=3660)
    ] = 90.0
    attempts_per_name: Annotated[
        int, Field(description="Failed attempts at a name before further ones get 429.", ge=1)
    ] = 5
    attempts_per_address: Annotated[
        int,
        Field(
            description="Failed attempts from an address (IPv6: from its /64 network) before further"
            " ones get 429.",
            ge=1,
        ),
    ] = 5
    attempt_minutes: Annotated[
        float, Field(description="For so long a failed attempt counts.", gt=0, le=24 * 60)
    ] = 15.0
    hashes_at_once: Annotated[
        int,
        Field(description="Passwords one API process checks at a time, in 64 MiB each.", ge=1),
    ] = 2


class ImportSource(Group):
    """A place whose files batches may take in, by its name; the rest says where it lies."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
    tenants: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the tenants that may import from it; `*` is every one."""
    folder: Path | None = None
    endpoint: str | None = None
    bucket: str | None = None
    prefix: str = ""
    region: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    secure: bool = True
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        """Exactly a folder, or an S3 bucket with its keys."""
        s3 = (self.endpoint, self.bucket, self.access_key, self.secret_key)
        if self.folder is not None:
            is_place = self.folder.is_absolute() and not any(s3) and not self.prefix
        else:
            is_place = all(s3)
        if not is_place:
            raise ValueError("a source is an absolute folder, or endpoint, bucket and both keys")
        return self

    def allows(self, tenant: str) -> bool:
        return "*" in self.tenants or tenant in self.tenants


class ImportSettings(Group):
    """Where batches may take files from. Nothing that a request says adds a place."""

    sources: Annotated[
        tuple[ImportSource, ...],
        Field(
            description="JSON list of places that batches may import from, each with `name` and"
            " `tenants` (names, or `*`), and either `folder` (absolute, on the workers' machines) or"
            " `endpoint`, `bucket`, `prefix`, `region`, `access_key`, `secret_key`, `secure`,"
            " `ca_file` of an S3 store. Objects above `MUNIMENT_API__MAX_UPLOAD_BYTES` are not taken."
        ),
    ] = ()
    max_objects: Annotated[
        int, Field(description="Most objects that one batch takes in.", ge=1, le=1_000_000)
    ] = 100_000

    @field_validator("sources")
    @classmethod
    def _have_different_names(cls, sources: tuple[ImportSource, ...]) -> tuple[ImportSource, ...]:
        if len({source.name for source in sources}) < len(sources):
            raise ValueError("two sources have the same name")
        return sources


class WorkerSettings(Group):
    """Workers."""

    cpu_slots: Annotated[
        int | None,
        Field(
            description="Parallel CPU-heavy activities of each queue; unset: the cores. Of parsing"
            " as many again may run for longer than 15 s beside them.",
            ge=1,
        ),
    ] = None
    io_slots: Annotated[
        int, Field(description="Parallel database and object-store activities.", ge=1)
    ] = 50
    scan_slots: Annotated[int, Field(description="Parallel virus scans.", ge=1)] = 4
    graceful_shutdown_seconds: Annotated[
        float, Field(description="How long a stopping worker lets activities finish.")
    ] = 5.0
    workflow_sandbox: Annotated[
        bool,
        Field(description="Run workflow code in the SDK's sandbox, which finds non-determinism."),
    ] = False
    scratch: Annotated[
        Path | None, Field(description="Folder for opened content; unset: memory-backed.")
    ] = None
    scratch_overflow: Annotated[
        Path | None,
        Field(
            description="Folder, on an encrypted disk, for opened content that does not fit in"
            " `/dev/shm`, of which a quarter is left to others; unset: none of it touches a disk, and"
            " what does not fit waits."
        ),
    ] = None
    metrics_port: Annotated[
        int | None,
        Field(
            description="Port of a worker's `/metrics`, another one for each worker process of a"
            " machine (`muniment up` counts upwards from it); unset: none.",
            ge=1,
            le=65535,
        ),
    ] = None
    metrics_host: Annotated[
        str, Field(description="Address that a worker's `/metrics` listens on.")
    ] = "127.0.0.1"
    reconcile_seconds: Annotated[
        float, Field(description="How often committed but unstarted jobs are looked for.")
    ] = 5.0
    sweep_hours: Annotated[
        float, Field(description="How often stored content that no row names is looked for.", gt=0)
    ] = 24.0
    sweep_min_age_hours: Annotated[
        float,
        Field(description="Younger content is left alone: longer than any upload takes.", ge=3),
    ] = 24.0


class IntegritySettings(Group):
    """Stored content is read again and compared with what was stored."""

    interval_hours: Annotated[
        float,
        Field(
            description="How often some of each tenant's content is read again and compared; 0:"
            " only when asked for.",
            ge=0,
            le=24 * 366,
        ),
    ] = 24.0
    rotation_days: Annotated[
        float,
        Field(description="Within so many days everything is read again once.", gt=0, le=3660),
    ] = 30.0
    max_bytes_per_run: Annotated[
        int,
        Field(description="A run ends after so many bytes; the next one goes on.", ge=1024**2),
    ] = 512 * 1024**3
    bytes_per_second: Annotated[
        int,
        Field(description="Most bytes a second that a worker process reads again.", ge=1024**2),
    ] = 20 * 1024**2
    keep_days: Annotated[
        float,
        Field(
            description="So long are runs that ended and faults that were mended told.",
            gt=0,
            le=36_600,
        ),
    ] = 366.0


class SharingSettings(Group):
    """Links by which files are downloaded without a key."""

    enabled: Annotated[
        bool,
        Field(description="Links can be made and are served; off: neither, until it is on again."),
    ] = True
    public_url: Annotated[
        str | None,
        Field(
            description="Where the world finds this API, such as `https://documents.example.org`, a"
            " proxy's prefix included: links begin with it. Unset: with the address that the request"
            " which makes a link was sent to."
        ),
    ] = None
    default_days: Annotated[
        float, Field(description="How long a link lives that names no end.", gt=0)
    ] = 30.0
    max_days: Annotated[
        float, Field(description="How far ahead a link's end may lie.", gt=0, le=36_600)
    ] = 365.0
    session_hours: Annotated[
        float,
        Field(
            description="How long a visitor may go on with a download, or repeat it, without being"
            " counted again or asked for the password again.",
            gt=0,
            le=24 * 30,
        ),
    ] = 12.0
    require_clean: Annotated[
        bool,
        Field(
            description="Serve only what the virus scanner found clean; off: also what no scanner was"
            " there to look at, and what a person or `MUNIMENT_SCAN__UNSCANNABLE` let pass."
        ),
    ] = True
    password_tries: Annotated[
        int,
        Field(
            description="Wrong passwords in 15 minutes from one address (of IPv6 its /64) at one link;"
            " more get 429.",
            ge=1,
            le=1_000,
        ),
    ] = 5
    password_tries_of_all: Annotated[
        int,
        Field(description="Likewise, from all addresses together.", ge=1, le=100_000),
    ] = 50
    max_concurrent_downloads: Annotated[
        int,
        Field(
            description="Downloads by links that one API process serves at a time; more get 429.",
            ge=1,
        ),
    ] = 64
    max_concurrent_downloads_per_address: Annotated[
        int | None,
        Field(description="Of those, to one address (of IPv6 its /64); unset: a quarter.", ge=1),
    ] = None
    max_sessions: Annotated[
        int,
        Field(
            description="Visitors' sessions of one link that are remembered; of more the oldest would be"
            " counted again.",
            ge=1,
            le=1_000_000,
        ),
    ] = 10_000

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, public_url: str | None) -> str | None:
        if public_url is None:
            return None
        parts = urlsplit(public_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
            raise ValueError("an address begins with https:// or http:// and has no query")
        return public_url.rstrip("/")

    @model_validator(mode="after")
    def _has_room_for_its_default(self) -> Self:
        if self.default_days > self.max_days:
            raise ValueError("a link without an end would live longer than any may")
        return self


class WebhookSettings(Group):
    """Events that are sent out, and where requests may go."""

    retry_delays_seconds: Annotated[
        tuple[Annotated[float, Field(ge=0, le=24 * 3600)], ...],
        Field(
            description="JSON list of the pauses before each attempt, a tenth more or less; after the"
            " last a delivery is a dead letter.",
            min_length=1,
            max_length=20,
        ),
    ] = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
    timeout_seconds: Annotated[
        float, Field(description="Longest wait for an endpoint's answer.", gt=0, le=60)
    ] = 15.0
    connect_timeout_seconds: Annotated[
        float, Field(description="Longest wait for a connection to it.", gt=0, le=60)
    ] = 5.0
    slots: Annotated[
        int,
        Field(
            description="Deliveries in flight at a time, of a worker; half of them at most are one"
            " tenant's.",
            ge=1,
            le=1000,
        ),
    ] = 32
    slots_per_endpoint: Annotated[
        int, Field(description="Of those, to one endpoint: a slow one holds up no other.", ge=1)
    ] = 4
    max_endpoints: Annotated[int, Field(description="Endpoints of a tenant.", ge=1)] = 100
    max_pending: Annotated[
        int,
        Field(
            description="Unfinished deliveries of an endpoint; what comes above is a dead letter at"
            " once, to be replayed.",
            ge=1,
        ),
    ] = 10_000
    ports: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...],
        Field(description="JSON list of ports that endpoints may have."),
    ] = (443, 8443)
    allow_http: Annotated[
        bool, Field(description="Endpoints may be reached without TLS: anybody on the way reads.")
    ] = False
    allowed_networks: Annotated[
        tuple[IPvAnyNetwork, ...],
        Field(
            description="JSON list of networks that endpoints may lie in though they are not public,"
            ' such as `["10.1.0.0/16"]`.'
        ),
    ] = ()
    ca_file: Annotated[
        Path | None,
        Field(description="PEM file of authorities that are trusted besides the public ones."),
    ] = None
    secret_overlap_hours: Annotated[
        float,
        Field(description="So long does an exchanged secret go on signing.", ge=0, le=24 * 30),
    ] = 24.0
    keep_days: Annotated[
        float,
        Field(description="Events and their finished deliveries are kept so long.", gt=0, le=3660),
    ] = 30.0


class LimitSettings(Group):
    """What one document may cost."""

    max_pages: Annotated[int, Field(description="Most pages of a document.", ge=1)] = 10_000


class TelemetrySettings(Group):
    """Logs, traces, metrics."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severe log line.")
    ] = "info"
    otlp_endpoint: Annotated[
        str | None, Field(description="OTLP/HTTP endpoint; unset: traces are not exported.")
    ] = None
