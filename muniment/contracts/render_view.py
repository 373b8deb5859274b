"""The `RenderView` workflow: something to look at, derived from a version when first asked for.

A view is found again by its fingerprint, which API and worker compute alike; so the API looks
before it asks, and asks for one view once, however many want it.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, field_validator
from temporalio import activity

from muniment.contracts.base import Contract, VersionReference
from muniment.contracts.documents import DocumentFamily, PageBox

WORKFLOW = "RenderView"
MINIMUM_DPI, MAXIMUM_DPI = 36, 300
"""Below, letters are lost; above, the picture is larger than any screen and most printers need."""
DPI_STEPS = (MINIMUM_DPI, 50, 72, 96, 100, 120, 144, 150, 200, MAXIMUM_DPI)
"""What pictures are drawn and kept at: pictures stay, so that a page for each of all resolutions
would let a reader fill the disk. What people ask for is among them; the rest gets the next one."""
MAXIMUM_PIXELS = 16_000_000
"""An A4 page at 300 dpi has 8.7 million; what would be larger is drawn more coarsely."""
THUMBNAIL_PIXELS = 256
THUMBNAIL_DPI = 72
DEFAULT_DPI = 144
"""Two pixels per point: sharp on most screens."""
MARKABLE_MEDIA_TYPE = "application/pdf"
MAXIMUM_MARKABLE_BYTES = 64 * 1024 * 1024
"""A copy is made and sealed in memory, and somebody waits for it."""
ENCRYPTED_PICTURE_PAGES = 50
"""So many pages of an encrypted document have pictures: a quarter of a minute of a core."""

MAXIMUM_REDACTED_PAGES = 200
"""Of one document: a minute of a core, and some 60 MB of pictures."""
MAXIMUM_REDACTED_BOXES = 5_000
"""Half a megabyte of a workflow's input, of which Temporal takes two."""


class ImageFormat(StrEnum):
    WEBP = "webp"
    PNG = "png"


def dpi_step(dpi: int) -> int:
    """The least resolution of those that pictures are kept at that shows all of `dpi`, which lies
    between MINIMUM_DPI and MAXIMUM_DPI."""
    return next(step for step in DPI_STEPS if step >= dpi)


class MarkdownView(Contract):
    """The assembled document as Markdown (UTF-8)."""

    kind: Literal["markdown"] = "markdown"


class PageImageView(Contract):
    """A page as a picture of `dpi` pixels per inch, never more than an image file itself has; with
    `longest_side` made to fit that many pixels."""

    kind: Literal["page_image"] = "page_image"
    page: int = Field(ge=1)
    dpi: int = Field(ge=MINIMUM_DPI, le=MAXIMUM_DPI)
    format: ImageFormat
    longest_side: int | None = None

    @field_validator("dpi")
    @classmethod
    def _at_a_step(cls, dpi: int) -> int:
        """Workflows that began before there were steps ask for what lies between them."""
        return dpi_step(dpi)


class MarkedCopyView(Contract):
    """A PDF as it is handed out by share links that say so: each page has a line across it with the name of
    whoever shared it and their id. One for all their links, since copies stay. `name_digest`: of the name
    as it was, so that another name makes another copy."""

    kind: Literal["marked_copy"] = "marked_copy"
    sharer_id: UUID
    name_digest: str


class RedactedView(Contract):
    """All pages as pictures in a PDF that holds nothing else: black over `boxes` and over all of
    `blackened`, which are numbers of pages. Places only, as histories keep them: never what stood there."""

    kind: Literal["redacted"] = "redacted"
    page_count: int = Field(ge=1, le=MAXIMUM_REDACTED_PAGES)
    boxes: tuple[PageBox, ...] = Field(default=(), max_length=MAXIMUM_REDACTED_BOXES)
    blackened: tuple[int, ...] = Field(default=(), max_length=MAXIMUM_REDACTED_PAGES)


AnyView = MarkdownView | PageImageView | MarkedCopyView | RedactedView
View = Annotated[AnyView, Field(discriminator="kind")]

VIEW_VERSIONS: Mapping[str, int] = MappingProxyType(
    {"markdown": 1, "page_image": 1, "marked_copy": 1, "redacted": 1}
)
"""By kind; raised when the same view would come out otherwise."""


class RenderViewInput(Contract):
    """Ids and numbers only, as all that histories keep."""

    tenant_id: UUID
    version_id: UUID
    view: View


class RenderViewResult(Contract):
    """Where the view lies in the sealed store."""

    blob_id: UUID
    size: int
    sha256: str


def marked_copy(sharer_id: UUID, name: str) -> MarkedCopyView:
    digest = hashlib.sha256(sharer_id.bytes + name.encode()).hexdigest()
    return MarkedCopyView(sharer_id=sharer_id, name_digest=digest)


def is_markable(media_type: str, size: int) -> bool:
    """Whether copies of such content can be marked."""
    return media_type == MARKABLE_MEDIA_TYPE and size <= MAXIMUM_MARKABLE_BYTES


def view_fingerprint(view: AnyView, source_blob_id: UUID) -> str:
    """SHA-256 (hex). The source is the blob that the view is made of: blobs never change, so equal
    fingerprints mean equal views."""
    version = VIEW_VERSIONS[view.kind]
    parts = f"view/{version}/{source_blob_id}/{view.model_dump_json()}"
    return hashlib.sha256(parts.encode()).hexdigest()


def workflow_id(version_id: UUID, fingerprint: str) -> str:
    """One for every view of a version: who asks while it is made waits for the same run."""
    return f"view-{version_id}-{fingerprint[:32]}"


def pictured_family(media_type: str) -> DocumentFamily | None:
    """The family of a type whose pages can be shown as pictures; None for all others."""
    if media_type == "application/pdf":
        return DocumentFamily.PDF
    if media_type.startswith("image/"):
        return DocumentFamily.IMAGE
    return None


def page_image(page: int, image_format: ImageFormat, dpi: int = DEFAULT_DPI) -> PageImageView:
    """The page at the least resolution kept that shows all of `dpi`."""
    return PageImageView(page=page, dpi=dpi, format=image_format)


def thumbnail(image_format: ImageFormat) -> PageImageView:
    """The first page, small."""
    return PageImageView(
        page=1, dpi=THUMBNAIL_DPI, format=image_format, longest_side=THUMBNAIL_PIXELS
    )


class RenderPicturesInput(Contract):
    version: VersionReference
    page_count: int


class RenderPicturesResult(Contract):
    """How many pictures there are now; of a page that cannot be drawn there is none."""

    drawn: int


def pictures_of_encrypted(page_count: int) -> tuple[PageImageView, ...]:
    """What is drawn of an encrypted document while its password is at hand."""
    pages = range(1, min(page_count, ENCRYPTED_PICTURE_PAGES) + 1)
    return (thumbnail(ImageFormat.WEBP), *(page_image(page, ImageFormat.WEBP) for page in pages))


class RenderViewActivities(ABC):
    @activity.defn(name="render_view")
    @abstractmethod
    async def render_view(self, request: RenderViewInput) -> RenderViewResult:
        """The view, found by its fingerprint or made and kept."""

    @activity.defn(name="render_pictures")
    @abstractmethod
    async def render_pictures(self, request: RenderPicturesInput) -> RenderPicturesResult:
        """Those of `pictures_of_encrypted`, drawn with the job's password and kept."""
