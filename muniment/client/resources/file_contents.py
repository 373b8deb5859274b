"""What was made of files: pages, passages, text and pictures; and what changed between versions."""

from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from muniment.client.building import Id, get, given, segment
from muniment.client.models import Chunk, Listing, Page
from muniment.client.operations import Operation
from muniment.client.parsing import read_content, read_json, read_text
from muniment.client.protocol import Call, Parameters
from muniment.client.versions import VersionComparison
from muniment.contracts.word_boxes import BoundingBox

ImageFormat = Literal["webp", "png"]


def compare_versions(
    file_id: Id,
    number: int,
    other: int | None = None,
    *,
    unchanged: bool = False,
    limit: int = 20,
    cursor: str | None = None,
) -> Call[VersionComparison]:
    """What became of the pages of the other version (else the one before) in this one."""
    path = f"{_path(file_id)}/versions/{segment(number)}/comparison"
    parameters = {"with": other, "unchanged": unchanged, "limit": limit, "cursor": cursor}
    return get(path, VersionComparison, parameters)


def list_pages(file_id: Id, *, limit: int = 50, cursor: str | None = None) -> Call[Listing[Page]]:
    return get(f"{_path(file_id)}/pages", Listing[Page], {"limit": limit, "cursor": cursor})


def get_page(file_id: Id, page: int, *, layer: str | None = None) -> Call[Page]:
    """The page; with `layer` as that engine read it, of those that its `layers` name."""
    return get(f"{_path(file_id)}/pages/{segment(page)}", Page, {"layer": layer})


def get_document(file_id: Id, *, version: int | None = None) -> Call[JsonValue]:
    """The DoclingDocument as JSON; docling-core's own model reads it."""
    return Call("GET", f"{_path(file_id)}/document", read_json, parameters={"version": version})


def get_markdown(file_id: Id, *, version: int | None = None) -> Call[str]:
    return Call("GET", f"{_path(file_id)}/markdown", read_text, parameters={"version": version})


def get_text(file_id: Id, *, version: int | None = None) -> Call[str]:
    return Call("GET", f"{_path(file_id)}/text", read_text, parameters={"version": version})


def get_page_image(
    file_id: Id,
    page: int,
    *,
    dpi: int | None = None,
    image_format: ImageFormat = "webp",
    version: int | None = None,
) -> Call[bytes]:
    """A picture of a page of a PDF or image; NotFound for formats without."""
    parameters: Parameters = {"dpi": dpi, "format": image_format, "version": version}
    path = f"{_path(file_id)}/pages/{segment(page)}/image"
    return Call("GET", path, read_content, parameters=parameters)


def get_thumbnail(
    file_id: Id, *, image_format: ImageFormat = "webp", version: int | None = None
) -> Call[bytes]:
    """The first page, 256 pixels on its longer side."""
    parameters: Parameters = {"format": image_format, "version": version}
    return Call("GET", f"{_path(file_id)}/thumbnail", read_content, parameters=parameters)


def redact(
    file_id: Id,
    *,
    types: Sequence[str] | None = None,
    least_confidence: float | None = None,
    regions: Sequence[tuple[int, BoundingBox]] = (),
    version: int | None = None,
) -> Call[bytes]:
    """A PDF of pictures of the pages, with what was found (of `types`, else all) and the regions, each
    (page, box), painted over. DependencyUnavailable while workers are at it: ask again."""
    body: JsonValue = given(
        types=None if types is None else [*types],
        least_confidence=least_confidence,
        regions=[{"page": page, "bbox": [*box]} for page, box in regions],
    )
    path = f"{_path(file_id)}/redactions"
    return Call("POST", path, read_content, json=body, parameters={"version": version})


def list_chunks(file_id: Id, *, limit: int = 50, cursor: str | None = None) -> Call[Listing[Chunk]]:
    return get(f"{_path(file_id)}/chunks", Listing[Chunk], {"limit": limit, "cursor": cursor})


def _path(file_id: Id) -> str:
    return f"/v1/files/{segment(file_id)}"


class FileContentOperations:
    """What both clients read of files."""

    compare_versions = Operation(compare_versions)
    pages = Operation(list_pages)
    page = Operation(get_page)
    document = Operation(get_document)
    markdown = Operation(get_markdown)
    text = Operation(get_text)
    page_image = Operation(get_page_image)
    thumbnail = Operation(get_thumbnail)
    redact = Operation(redact)
    chunks = Operation(list_chunks)
