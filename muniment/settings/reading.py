"""Settings of what reads documents: scanner, programs, engines, services of theirs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from muniment.contracts.ocr import CandidateEngineName
from muniment.settings.group import Group


class ScanSettings(Group):
    """The virus scan."""

    socket: Annotated[str | None, Field(description="clamd's Unix socket, or host:port.")] = None
    tls: Annotated[
        bool,
        Field(
            description="Speak TLS with clamd's host:port: clamd has none, so to what stands before"
            " it. One of the files below implies it."
        ),
    ] = False
    ca_file: Annotated[
        Path | None, Field(description="PEM file of its authorities; unset: the public ones.")
    ] = None
    server_name: Annotated[
        str | None, Field(description="Name in its certificate, where it is not the address's.")
    ] = None
    client_certificate: Annotated[
        Path | None, Field(description="PEM file of the certificate that it is shown.")
    ] = None
    client_key: Annotated[Path | None, Field(description="PEM file of its key, unencrypted.")] = (
        None
    )
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
    await_verdict: Annotated[
        bool,
        Field(
            description="Content is not handed out before its scan has ended (409 `scan-pending`), where"
            " the API, too, is told of a scanner or that one is required; off: to whoever may read the"
            " file, though not by links."
        ),
    ] = True
    unscannable: Annotated[
        Literal["hold", "refuse", "accept"],
        Field(
            description="What becomes of files that are encrypted, too large or over a limit of the"
            " scanner: they wait for a person, are rejected at once, or go on, marked `unscannable`."
            " While it is the scanner that cannot be believed, they wait."
        ),
    ] = "hold"
    archives_by_members: Annotated[
        bool,
        Field(
            description="ZIP and TAR archives (by their name) that are too large or over a limit of the"
            " scanner go on, and each file that comes out of them is scanned by itself. What does not"
            " come out of them is not, and who may read the archive downloads all of it."
        ),
    ] = False

    @property
    def uses_tls(self) -> bool:
        named = (self.ca_file, self.server_name, self.client_certificate, self.client_key)
        return self.tls or any(each is not None for each in named)


class ProgramSettings(Group):
    """External programs. They run confined by bubblewrap; where that is absent or forbidden they
    do not run."""

    soffice: Annotated[
        str,
        Field(
            description="LibreOffice, which converts documents of Word and PowerPoint 97–2003 before"
            " they are read: a path, `auto` (`soffice` on PATH, if it is there), or `off`."
        ),
    ] = "auto"


class OcrSettings(Group):
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
    second_engine: Annotated[
        CandidateEngineName | None,
        Field(
            description="Engine that reads the pages again which `engine` is unsure of, on the CPU; the"
            " surer reading is kept, page by page. Such as `tesseract` with the languages whose scripts"
            " RapidOCR's models do not know; unset: none. Jobs that name another engine are read by"
            " that alone."
        ),
    ] = None
    second_below: Annotated[
        float,
        Field(
            description="A page is read again when the mean confidence of its lines is below this.",
            gt=0,
            le=1,
        ),
    ] = 0.8
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


class ShadowSettings(Group):
    """A candidate that reads a share of what is ingested beside what the workers read with."""

    ocr_engine: Annotated[
        CandidateEngineName | None,
        Field(
            description="Engine to try: when a version with scanned pages is published, it reads them"
            " too, and `muniment shadow` reports what it would change; unset: none."
        ),
    ] = None
    pdf_pipeline: Annotated[
        Literal["rules", "docling"] | None,
        Field(
            description="What is to be tried on the structure of PDFs and images, alone or together with"
            " the engine: when one is published, its pages go through this too; unset: none. `docling`"
            " needs `MUNIMENT_READ__DOCLING_ARTIFACTS`."
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


class ReadSettings(Group):
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
            " tableformer -o FOLDER` makes it. Where it is set, single jobs and comparisons can ask for"
            " docling's pipeline, whatever the workers use; its process starts with the first that does."
        ),
    ] = None


class RaySettings(Group):
    """The OCR service on Ray Serve, which workers of the GPU queue start or join."""

    address: Annotated[
        str | None,
        Field(description="host:port of a Ray cluster to join; unset: the worker starts its own."),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        Field(
            description="PEM file of the certificate that Ray's processes of this worker show each"
            " other and the cluster's: mutual TLS. It names the machine's addresses. The three belong"
            " together; unset: none, or what `RAY_USE_TLS` says."
        ),
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM file of its key.")] = None
    ca_file: Annotated[
        Path | None, Field(description="PEM file of the authority that signed all of them.")
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


class SuryaSettings(Group):
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


class EmbeddingSettings(Group):
    """The embedding model."""

    model_directory: Annotated[
        Path | None, Field(description="Prepared model; unset: the user's cache folder.")
    ] = None
    threads: Annotated[
        int | None, Field(description="Threads of one embedder; unset: the cores.", ge=1)
    ] = None
    keep_former_hours: Annotated[
        float,
        Field(
            description="How long the index version that was searched before is kept whole, for going"
            " back to it; then its vectors are deleted.",
            gt=0,
        ),
    ] = 168.0
