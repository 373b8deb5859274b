"""Settings: environment variables `MUNIMENT_<GROUP>__<NAME>`, read once by a composition root.

`python -m muniment.settings` prints docs/settings.md; with `--check FILE` it exits 1 on drift.
Only api/, worker/, deploy/, the migrations and the command line read settings; everything below
them is given plain arguments.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from muniment.contracts.ocr import CandidateEngineName
from muniment.errors import ConfigurationError

_PREFIX = "MUNIMENT_"
_DELIMITER = "__"


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiSettings(_Group):
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
    max_upload_bytes: Annotated[int, Field(description="Largest upload accepted, in bytes.")] = (
        16 * 1024**3
    )
    max_concurrent_uploads: Annotated[
        int, Field(description="Uploads one API process receives at a time; more get 429.", ge=1)
    ] = 64
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


class DatabaseSettings(_Group):
    """PostgreSQL with pgvector."""

    url: Annotated[
        SecretStr,
        Field(description="DSN of the application role, which owns nothing and bypasses nothing."),
    ] = SecretStr("postgresql://muniment_app@127.0.0.1:5432/muniment")
    owner_url: Annotated[
        SecretStr | None, Field(description="DSN of the schema's owner, for migrations only.")
    ] = None
    pool_size: Annotated[int, Field(description="Connections per process.", ge=1)] = 10
    statement_timeout_seconds: Annotated[
        float, Field(description="Longest statement of a request or activity.")
    ] = 30.0


class TemporalSettings(_Group):
    """The Temporal cluster."""

    address: Annotated[str, Field(description="host:port of the frontend.")] = "127.0.0.1:7233"
    namespace: Annotated[str, Field(description="Namespace of all workflows.")] = "default"
    ui_url: Annotated[str | None, Field(description="Temporal Web UI, for the links in jobs.")] = (
        None
    )
    api_key: Annotated[SecretStr | None, Field(description="API key (Temporal Cloud).")] = None
    tls: Annotated[bool, Field(description="Connect with TLS.")] = False


class ObjectSettings(_Group):
    """Where sealed content lies."""

    backend: Annotated[
        Literal["filesystem", "s3"], Field(description="A folder or an S3 store.")
    ] = "filesystem"
    root: Annotated[Path, Field(description="The folder, for `filesystem`.")] = Path("objects")
    endpoint: Annotated[str | None, Field(description="host:port of the S3 API.")] = None
    bucket: Annotated[str, Field(description="S3 bucket.")] = "muniment"
    region: Annotated[str | None, Field(description="S3 region.")] = None
    access_key: Annotated[SecretStr | None, Field(description="S3 access key.")] = None
    secret_key: Annotated[SecretStr | None, Field(description="S3 secret key.")] = None
    secure: Annotated[bool, Field(description="Use HTTPS for S3.")] = True


class ImportSource(_Group):
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


class ImportSettings(_Group):
    """Where batches may take files from. Nothing that a request says adds a place."""

    sources: Annotated[
        tuple[ImportSource, ...],
        Field(
            description="JSON list of places that batches may import from, each with `name` and"
            " `tenants` (names, or `*`), and either `folder` (absolute, on the workers' machines) or"
            " `endpoint`, `bucket`, `prefix`, `region`, `access_key`, `secret_key`, `secure` of an S3"
            " store. Objects above `MUNIMENT_API__MAX_UPLOAD_BYTES` are not taken."
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


class KeySettings(_Group):
    """Keys; they never lie in PostgreSQL."""

    root: Annotated[
        Path,
        Field(description="Folder of the key file, the payload key and the wrapped data keys."),
    ] = Path("keys")


class WorkerSettings(_Group):
    """Workers."""

    cpu_slots: Annotated[
        int | None, Field(description="Parallel CPU-heavy activities; unset: the cores.", ge=1)
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
    reconcile_seconds: Annotated[
        float, Field(description="How often committed but unstarted jobs are looked for.")
    ] = 5.0
    sweep_hours: Annotated[
        float, Field(description="How often stored content that no row names is looked for.", gt=0)
    ] = 24.0
    sweep_min_age_hours: Annotated[
        float,
        Field(description="Younger content is left alone: longer than any upload takes.", ge=1),
    ] = 24.0


class ScanSettings(_Group):
    """The virus scan."""

    socket: Annotated[str | None, Field(description="clamd's Unix socket, or host:port.")] = None
    timeout_seconds: Annotated[float, Field(description="Longest scan of one file.")] = 600.0
    max_bytes: Annotated[
        int, Field(description="Files above this are unscannable (clamd's MaxFileSize).")
    ] = 2_000_000_000
    max_database_age_hours: Annotated[
        float, Field(description="An older signature database is not trusted.")
    ] = 48.0
    required: Annotated[
        bool,
        Field(description="Fail closed: without a scanner, files wait in quarantine."),
    ] = False


class ProgramSettings(_Group):
    """External programs. They run confined by bubblewrap; where that is absent or forbidden they
    do not run."""

    soffice: Annotated[
        str,
        Field(
            description="LibreOffice, which converts documents of Word and PowerPoint 97–2003 before"
            " they are read: a path, `auto` (`soffice` on PATH, if it is there), or `off`."
        ),
    ] = "auto"


class OcrSettings(_Group):
    """How pages are recognised, and where."""

    engine: Annotated[
        Literal["rapidocr", "rapidocr-openvino", "tesseract", "surya"],
        Field(
            description="Engine that reads scanned pages; all but the first are extras."
            " `rapidocr-openvino` and `tesseract` read on CPU alone: with them nothing is sent to the"
            " GPU queue. `surya` reads on the GPU queue alone: with it RapidOCR reads what falls back"
            " to the CPU queue. All workers have the same."
        ),
    ] = "rapidocr"
    tesseract_languages: Annotated[
        str, Field(description="Languages Tesseract reads, as it calls them, joined by `+`.")
    ] = "eng"
    tesseract_data: Annotated[
        Path | None,
        Field(description="Folder of Tesseract's models; unset: where packages put it."),
    ] = None
    gpu_queue: Annotated[
        Literal["auto", "on", "off"],
        Field(
            description="Send pages that need OCR to the GPU queue: always, never, or (`auto`) when a"
            " worker polls it. Only `rapidocr` and `surya` read there."
        ),
    ] = "auto"
    gpu_wait_seconds: Annotated[
        float,
        Field(
            description="How long pages wait in the GPU queue before the CPU queue reads them.",
            gt=0,
        ),
    ] = 30.0


class ShadowSettings(_Group):
    """A candidate that reads a share of what is ingested beside what the workers read with."""

    ocr_engine: Annotated[
        CandidateEngineName | None,
        Field(
            description="Engine to try: when a version with scanned pages is published, it reads them"
            " too, and `muniment shadow` reports what it would change; unset: none."
        ),
    ] = None
    share: Annotated[
        float,
        Field(
            description="Share of the versions that it reads, chosen by a hash of their ids.",
            ge=0,
            le=1,
        ),
    ] = 0.05
    tenants: Annotated[
        str,
        Field(description="Names of the tenants whose files it reads, joined by `,`; `*`: all."),
    ] = "*"
    max_open: Annotated[
        int,
        Field(
            description="Comparisons of one tenant that may be open; what is published beyond is"
            " passed over.",
            ge=1,
        ),
    ] = 4
    max_pages: Annotated[
        int,
        Field(description="Longer documents are passed over.", ge=1, le=500),
    ] = 100


class ReadSettings(_Group):
    """How the structure of PDFs and images is found."""

    pdf_pipeline: Annotated[
        Literal["rules", "docling"],
        Field(
            description="What finds headings, tables and reading order of PDFs and images: rules, or"
            " docling's pipeline with its layout model and TableFormer (an extra, with weights of its"
            " own; on CPU, seconds a page). All workers have the same."
        ),
    ] = "rules"
    docling_artifacts: Annotated[
        Path | None,
        Field(
            description="Folder of docling's weights, as `docling-tools models download layout"
            " tableformer -o FOLDER` makes it."
        ),
    ] = None


class RaySettings(_Group):
    """The OCR service on Ray Serve, which workers of the GPU queue start or join."""

    address: Annotated[
        str | None,
        Field(description="host:port of a Ray cluster to join; unset: the worker starts its own."),
    ] = None
    replicas: Annotated[int, Field(description="Replicas of the engine.", ge=1)] = 1
    gpus_per_replica: Annotated[
        float,
        Field(description="GPUs (or a share of one) of a replica; 0: it computes on CPU.", ge=0),
    ] = 0.0
    cpus_per_replica: Annotated[float, Field(description="Cores of a replica.", ge=0)] = 1.0
    max_ongoing_requests: Annotated[
        int, Field(description="Pages a replica holds; times the replicas: pages in flight.", ge=1)
    ] = 8
    max_queued_requests: Annotated[
        int | None,
        Field(
            description="Pages that may wait in Ray, more are refused and retried; fewer than those in"
            " flight refuse a burst. Unset: as many.",
            ge=1,
        ),
    ] = None
    batch_size: Annotated[int, Field(description="Most pages a replica reads at once.", ge=1)] = 4
    batch_wait_seconds: Annotated[
        float, Field(description="How long a replica waits for a batch to fill.", ge=0)
    ] = 0.05
    request_timeout_seconds: Annotated[
        float, Field(description="Longest reading of one page, its wait in Ray included.", gt=0)
    ] = 300.0
    object_store_bytes: Annotated[
        int,
        Field(description="Shared memory of a Ray that the worker starts itself.", ge=80 * 1024**2),
    ] = 512 * 1024**2


class SuryaSettings(_Group):
    """The Surya server (vLLM, or llama.cpp) that workers of the GPU queue ask, where the OCR engine is
    `surya`. It is sent the pictures of pages."""

    url: Annotated[
        str | None,
        Field(
            description="The server's OpenAI-compatible API, such as `http://gpu-1:8000/v1`.",
            pattern=r"^https?://\S+$",
        ),
    ] = None
    api_key: Annotated[
        SecretStr | None, Field(description="What the server was told to ask for; unset: nothing.")
    ] = None
    model: Annotated[
        str,
        Field(
            description="The model's name at the server, part of what pages are kept under: serve"
            " other weights under another name.",
            min_length=1,
        ),
    ] = "datalab-to/surya-ocr-2"
    concurrency: Annotated[
        int, Field(description="Requests (nearly always a page each) in flight.", ge=1, le=512)
    ] = 16
    page_timeout_seconds: Annotated[
        float,
        Field(description="Longest reading of one page, its wait at the server included.", gt=0),
    ] = 300.0


class EmbeddingSettings(_Group):
    """The embedding model."""

    model_directory: Annotated[
        Path | None, Field(description="Prepared model; unset: the user's cache folder.")
    ] = None
    threads: Annotated[
        int | None, Field(description="Threads of one embedder; unset: the cores.", ge=1)
    ] = None


class LimitSettings(_Group):
    """What one document may cost."""

    engine_memory_bytes: Annotated[
        int, Field(description="Memory one engine call may take beyond its start.")
    ] = 2 * 1024**3
    page_timeout_seconds: Annotated[float, Field(description="Longest reading of one page.")] = 120
    document_timeout_seconds: Annotated[
        float, Field(description="Longest engine call over a whole document.")
    ] = 600.0
    max_pages: Annotated[int, Field(description="Most pages of a document.", ge=1)] = 10_000


class TelemetrySettings(_Group):
    """Logs, traces, metrics."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severe log line.")
    ] = "info"
    otlp_endpoint: Annotated[
        str | None, Field(description="OTLP/HTTP endpoint; unset: traces are not exported.")
    ] = None


class Settings(BaseSettings):
    """All settings. Unknown variables with a double underscore are refused, not ignored."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter=_DELIMITER,
        frozen=True,
        extra="forbid",
    )

    api: ApiSettings = ApiSettings()
    database: DatabaseSettings = DatabaseSettings()
    temporal: TemporalSettings = TemporalSettings()
    objects: ObjectSettings = ObjectSettings()
    imports: ImportSettings = ImportSettings()
    keys: KeySettings = KeySettings()
    worker: WorkerSettings = WorkerSettings()
    scan: ScanSettings = ScanSettings()
    programs: ProgramSettings = ProgramSettings()
    ocr: OcrSettings = OcrSettings()
    shadow: ShadowSettings = ShadowSettings()
    read: ReadSettings = ReadSettings()
    ray: RaySettings = RaySettings()
    surya: SuryaSettings = SuryaSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    limits: LimitSettings = LimitSettings()
    telemetry: TelemetrySettings = TelemetrySettings()


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the environment once.

    Raises ConfigurationError naming the variable that is unknown or malformed, never its value.
    """
    known = {name for name, _ in _variables()}
    unknown = sorted(
        name
        for name in environment
        if name.startswith(_PREFIX) and _DELIMITER in name and name not in known
    )
    if unknown:
        raise ConfigurationError(
            f"unknown setting {', '.join(unknown)}",
            remedy="Correct the name; docs/settings.md lists every setting.",
        )
    try:
        return Settings()
    except ValidationError as error:
        wrong = ", ".join(
            _PREFIX + _DELIMITER.join(str(part) for part in problem["loc"]).upper()
            for problem in error.errors(include_input=False)
        )
        raise ConfigurationError(f"malformed setting {wrong}") from None
    except SettingsError:
        # What it quotes could be a secret. Of all settings only this one is JSON.
        raise ConfigurationError(
            "MUNIMENT_IMPORTS__SOURCES is no JSON list",
            remedy="docs/settings.md says what it holds.",
        ) from None


def _variables() -> list[tuple[str, str]]:
    """Every variable's name with its row of the table in docs/settings.md."""
    rows = []
    for group_name, group_field in Settings.model_fields.items():
        group = group_field.annotation
        if not (isinstance(group, type) and issubclass(group, BaseModel)):
            continue
        for name, field in group.model_fields.items():
            variable = f"{_PREFIX}{group_name}{_DELIMITER}{name}".upper()
            default = field.default
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            shown = "unset" if default in (None, ()) else f"`{default}`"
            rows.append((variable, f"| `{variable}` | {shown} | {field.description} |"))
    return rows


def document() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Generated by `python -m muniment.settings`; change `muniment/settings.py` instead.",
        "Settings are environment variables, read once at start. An unknown one is refused.",
        "",
        "| variable | default | what it sets |",
        "|---|---|---|",
        *(row for _, row in _variables()),
    ]
    return "\n".join(lines) + "\n"


def _main(arguments: list[str]) -> int:
    if arguments[:1] == ["--check"] and len(arguments) == 2:
        if Path(arguments[1]).read_text(encoding="utf-8") == document():
            return 0
        sys.stderr.write(f"{arguments[1]} has drifted: run `make docs`.\n")
        return 1
    sys.stdout.write(document())
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
