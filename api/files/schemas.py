"""Files and versions as clients see them."""

import math
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, SecretStr

from api.jobs.schemas import Job
from api.storable_text import StorableText, require_storable
from api.times import UtcTime
from muniment.contracts.jobs import FileState
from muniment.contracts.move_tier import Tier
from muniment.contracts.ocr import OcrEngineName
from muniment.contracts.pdf_pipeline import PdfPipelineName
from muniment.contracts.retention import LockMode
from muniment.contracts.scan import ScanReason, ScanState
from muniment.embedding import WINDOW_TOKENS
from muniment.objects import Retrieval

MAX_NAME_CHARACTERS = 1024
MAX_METADATA_FIELDS = 200
MAX_PASSWORD_CHARACTERS = 1_024
MINIMUM_CHUNK_TOKENS = 32
MAX_ARCHIVE_FILES = 10_000
"""Whatever the setting says: as many as a request's body holds."""


def _visible_name(name: str) -> str:
    """All that can be stored and seen is a name, however odd."""
    if not name.strip():
        raise ValueError("a name is not empty")
    return name


Name = Annotated[
    StorableText,
    Field(min_length=1, max_length=MAX_NAME_CHARACTERS),
    AfterValidator(_visible_name),
]


def _storable_json(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """PostgreSQL's jsonb holds neither NUL, lone surrogates, nor numbers that are none."""
    pending: list[JsonValue] = [metadata]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str):
            require_storable(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("numbers are finite")
    return metadata


Metadata = Annotated[
    dict[str, JsonValue],
    Field(max_length=MAX_METADATA_FIELDS),
    AfterValidator(_storable_json),
]


class OnConflict(StrEnum):
    """What a name that is taken by other content makes: a second file, or a new version."""

    FILE = "file"
    VERSION = "version"


class Scan(BaseModel):
    """What the virus scanner said. `unscanned`: there was none, or it has not run yet."""

    state: ScanState
    engine: str | None = None
    database: str | None = None
    signature: str | None = Field(
        default=None,
        description="Name of what was found, or the setting that was exceeded or is missing.",
    )
    reason: ScanReason | None = Field(
        default=None,
        description="Why it is not clean; null also for verdicts from before reasons were kept.",
    )
    at: UtcTime | None = None


class Retention(BaseModel):
    """Until when policies and locks keep the file, and when it is to be deleted; null where none says so.
    `indefinite`: until something that has no date yet. `GET /v1/files/{id}/retention` says by what."""

    retain_until: UtcTime | None = None
    indefinite: bool = False
    delete_at: UtcTime | None = None
    lock: LockMode | None = Field(default=None, description="The strongest that stands.")


class Parent(BaseModel):
    """The file that this one came out of, and its path in there."""

    file_id: UUID
    path: str


class File(BaseModel):
    """A file. `version` is the one that readers see; `job` is the newest."""

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    version: int
    state: FileState
    collection: str | None = Field(
        description="Null where the file was erased and its collection deleted."
    )
    collection_id: UUID | None
    metadata: dict[str, JsonValue]
    extracted: dict[str, JsonValue]
    labels: list[str]
    pages: int | None
    scan: Scan
    tier: Tier = Field(description="Where its content lies; `cold`: it may take longer to be read.")
    retrieval: Retrieval | None = Field(
        default=None,
        description="Of content in the cold tier, where one file is asked for: `archived` content has to be"
        " retrieved before it is read, which asking for it begins and which takes hours; it is `in_progress`,"
        " or was `retrieved` for some days; `readable` needs none of that. Null in lists and in the hot"
        " tier, and where the cold store does not answer.",
    )
    degraded: bool
    created_at: UtcTime
    updated_at: UtcTime
    job: Job | None
    retention: Retention
    parent: Parent | None = Field(
        default=None, description="The archive or message that this file came out of."
    )
    held: bool = Field(description="A legal hold keeps it as it is.")
    holds: list[UUID] = Field(
        description="The legal holds that keep it, for callers with the scope `holds:manage`; else empty."
    )
    deduplicated: bool | None = Field(
        default=None, description="On an upload's answer: the file was there already."
    )


class FileVersion(BaseModel):
    """A version: immutable content, numbered from 1."""

    file_id: UUID
    version: int
    name: str
    media_type: str
    size: int
    sha256: str
    pages: int | None
    scan: Scan
    published_at: UtcTime | None
    created_at: UtcTime


class ArchivedFile(BaseModel):
    """A file, and which of its versions; without a number the one in use."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)


class NewArchive(BaseModel):
    """The files to pack, in this order; one that is named twice is packed once."""

    model_config = ConfigDict(extra="forbid")

    files: list[ArchivedFile] = Field(min_length=1, max_length=MAX_ARCHIVE_FILES)
    name: Name = Field(default="files.zip", description="What the archive is to be called.")


class FileChange(BaseModel):
    """What to change; what is absent stays. `metadata` is merged (RFC 7396): a null removes. What
    comes of it has at most 200 fields and 1 MiB."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "lease 2026.pdf", "metadata": {"matter": "A-17"}, "labels": ["signed"]}
            ]
        },
    )

    name: Name | None = None
    collection: StorableText | None = Field(default=None, min_length=1, max_length=200)
    metadata: Metadata | None = None
    labels: list[Annotated[StorableText, Field(min_length=1, max_length=200)]] | None = Field(
        default=None, max_length=100
    )


class ReprocessSettings(BaseModel):
    """What this run sets otherwise than the workers do; what is absent is as theirs."""

    model_config = ConfigDict(extra="forbid")

    chunk_tokens: int | None = Field(
        default=None,
        ge=MINIMUM_CHUNK_TOKENS,
        le=WINDOW_TOKENS,
        description="Longest chunk in the embedding model's tokens, its headings included.",
    )
    ocr_engine: OcrEngineName | None = Field(
        default=None,
        description="Reads the pages that need OCR; the job fails where a worker has it not installed."
        " What other engines read of them stays: see `layers` of a page.",
    )
    pdf_pipeline: PdfPipelineName | None = Field(
        default=None,
        description="Finds the structure of PDFs and images (headings, tables, order), and leaves other"
        " files as they are; the job fails where a worker lacks docling's pipeline or its weights.",
    )


class ReprocessBody(BaseModel):
    """What these settings, or the workers' own, changed since the last run is computed anew; all
    else is found by its fingerprint, and its stage is `reused`."""

    model_config = ConfigDict(extra="forbid")

    priority: int = Field(default=3, ge=1, le=5)
    settings: ReprocessSettings = ReprocessSettings()
    password: SecretStr | None = Field(
        default=None,
        max_length=MAX_PASSWORD_CHARACTERS,
        exclude=True,
        description="Opens an encrypted document; what came with earlier jobs was destroyed.",
    )


class UploadFields(BaseModel):
    """What may come with an upload's bytes."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    collection: StorableText = Field(default="default", min_length=1, max_length=200)
    metadata: Metadata = {}
    priority: int = Field(default=3, ge=1, le=5)
    on_conflict: OnConflict = OnConflict.FILE
    # Left out of every dump, so that no hash and no record of a request holds it.
    password: SecretStr | None = Field(
        default=None, max_length=MAX_PASSWORD_CHARACTERS, exclude=True
    )
