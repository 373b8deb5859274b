"""The calls of the API that are one request and one answer: a function per route."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import httpx
from pydantic import JsonValue

from muniment.client.building import Id, get, given, post, segment
from muniment.client.comparisons import ComparisonSummary, ReadingComparison
from muniment.client.models import (
    Answer,
    Batch,
    Chunk,
    File,
    Job,
    Listing,
    Page,
    SearchResult,
    Version,
)
from muniment.client.parsing import (
    parse_model,
    read_content,
    read_json,
    read_model,
    read_text,
)
from muniment.client.protocol import Call, Parameters
from muniment.client.versions import VersionComparison

SearchMode = Literal["hybrid", "lexical", "vector"]
Generate = Literal["auto", "extractive", "llm"]
ImageFormat = Literal["webp", "png"]
JobMessage = Literal["cancel", "pause", "resume"]
JobDecision = Literal["release", "reject"]


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def list_files(limit: int, cursor: str | None, filters: Parameters) -> Call[Listing[File]]:
    parameters = {"limit": limit, "cursor": cursor, **filters}
    return get("/v1/files", Listing[File], parameters)


def get_file(file_id: Id) -> Call[File]:
    return get(f"/v1/files/{segment(file_id)}", File)


def delete_file(file_id: Id, *, permanent: bool) -> Call[File | Job]:
    """The trashed File; the erasure Job when permanent."""
    return Call(
        "DELETE",
        f"/v1/files/{segment(file_id)}",
        _file_or_job,
        parameters={"permanent": True} if permanent else {},
    )


def restore_file(file_id: Id) -> Call[File]:
    return post(f"/v1/files/{segment(file_id)}/restore", File)


def reprocess_file(
    file_id: Id,
    chunk_tokens: int | None,
    ocr_engine: str | None,
    pdf_pipeline: str | None,
    priority: int | None,
    password: str | None = None,
) -> Call[Job]:
    json: dict[str, JsonValue] = {}
    settings = given(chunk_tokens=chunk_tokens, ocr_engine=ocr_engine, pdf_pipeline=pdf_pipeline)
    if settings:
        json["settings"] = settings
    if priority is not None:
        json["priority"] = priority
    if password is not None:
        json["password"] = password
    return Call(
        "POST", f"/v1/files/{segment(file_id)}/reprocess", read_model(Job), json=json, creates=True
    )


def compare_file(file_id: Id, ocr_engine: str | None, pdf_pipeline: str | None) -> Call[Job]:
    json = given(ocr_engine=ocr_engine, pdf_pipeline=pdf_pipeline)
    return Call(
        "POST", f"/v1/files/{segment(file_id)}/compare", read_model(Job), json=json, creates=True
    )


def archive_body(files: Sequence[Id | tuple[Id, int]], name: str | None) -> dict[str, JsonValue]:
    """Each file by its id, or by its id and the number of a version."""
    named: list[JsonValue] = [
        {"id": str(each[0]), "version": each[1]} if isinstance(each, tuple) else {"id": str(each)}
        for each in files
    ]
    return {"files": named} | given(name=name)


def list_versions(file_id: Id) -> Call[Listing[Version]]:
    return get(f"/v1/files/{segment(file_id)}/versions", Listing[Version])


def compare_versions(
    file_id: Id, number: int, other: int | None, parameters: Parameters
) -> Call[VersionComparison]:
    path = f"/v1/files/{segment(file_id)}/versions/{segment(number)}/comparison"
    return get(path, VersionComparison, {"with": other, **parameters})


def list_pages(file_id: Id, limit: int, cursor: str | None) -> Call[Listing[Page]]:
    return get(
        f"/v1/files/{segment(file_id)}/pages", Listing[Page], {"limit": limit, "cursor": cursor}
    )


def get_page(file_id: Id, page: int, layer: str | None) -> Call[Page]:
    return get(f"/v1/files/{segment(file_id)}/pages/{segment(page)}", Page, {"layer": layer})


def get_document(file_id: Id, version: int | None) -> Call[JsonValue]:
    """DoclingDocument JSON; docling-core's own model reads it."""
    path = f"/v1/files/{segment(file_id)}/document"
    return Call("GET", path, read_json, parameters={"version": version})


def get_markdown(file_id: Id, version: int | None) -> Call[str]:
    path = f"/v1/files/{segment(file_id)}/markdown"
    return Call("GET", path, read_text, parameters={"version": version})


def get_text(file_id: Id, version: int | None) -> Call[str]:
    return Call(
        "GET", f"/v1/files/{segment(file_id)}/text", read_text, parameters={"version": version}
    )


def get_page_image(
    file_id: Id, page: int, dpi: int | None, image_format: ImageFormat, version: int | None
) -> Call[bytes]:
    parameters: Parameters = {"dpi": dpi, "format": image_format, "version": version}
    path = f"/v1/files/{segment(file_id)}/pages/{segment(page)}/image"
    return Call("GET", path, read_content, parameters=parameters)


def get_thumbnail(file_id: Id, image_format: ImageFormat, version: int | None) -> Call[bytes]:
    parameters: Parameters = {"format": image_format, "version": version}
    return Call(
        "GET", f"/v1/files/{segment(file_id)}/thumbnail", read_content, parameters=parameters
    )


def list_chunks(file_id: Id, limit: int, cursor: str | None) -> Call[Listing[Chunk]]:
    return get(
        f"/v1/files/{segment(file_id)}/chunks", Listing[Chunk], {"limit": limit, "cursor": cursor}
    )


# ── comparisons of readings ─────────────────────────────────────────────────────────────────────


def list_comparisons(
    limit: int, cursor: str | None, filters: Parameters
) -> Call[Listing[ReadingComparison]]:
    parameters = {"limit": limit, "cursor": cursor, **filters}
    return get("/v1/reading-comparisons", Listing[ReadingComparison], parameters)


def summarise_comparisons(
    candidate: str | None, since: datetime | None, worst: int
) -> Call[ComparisonSummary]:
    parameters: Parameters = {
        "candidate": candidate,
        "since": since.isoformat() if since else None,
        "worst": worst,
    }
    return get("/v1/reading-comparisons/summary", ComparisonSummary, parameters)


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────


def list_jobs(limit: int, cursor: str | None, filters: Parameters) -> Call[Listing[Job]]:
    return get("/v1/jobs", Listing[Job], {"limit": limit, "cursor": cursor, **filters})


def get_job(job_id: Id) -> Call[Job]:
    return get(f"/v1/jobs/{segment(job_id)}", Job)


def tell_job(job_id: Id, message: JobMessage) -> Call[Job]:
    """Not repeated after it may have arrived: a second `cancel` is a conflict."""
    return Call("POST", f"/v1/jobs/{segment(job_id)}/{message}", read_model(Job), repeatable=False)


def decide_job(job_id: Id, decision: JobDecision, reason: str | None) -> Call[Job]:
    json = {"reason": reason} if reason is not None else {}
    path = f"/v1/jobs/{segment(job_id)}/{decision}"
    return Call("POST", path, read_model(Job), json=json, repeatable=False)


def retry_job(job_id: Id, pages: tuple[int, ...] | None, password: str | None = None) -> Call[Job]:
    json: dict[str, JsonValue] = {}
    if pages:
        json["pages"] = list(pages)
    if password is not None:
        json["password"] = password
    return Call(
        "POST", f"/v1/jobs/{segment(job_id)}/retry", read_model(Job), json=json, creates=True
    )


def reprioritise_job(job_id: Id, priority: int) -> Call[Job]:
    return post(f"/v1/jobs/{segment(job_id)}/reprioritise", Job, {"priority": priority})


# ── batches ─────────────────────────────────────────────────────────────────────────────────────


def create_batch(file_ids: Sequence[Id], priority: int | None) -> Call[Batch]:
    return _new_batch({"files": [str(file_id) for file_id in file_ids]}, priority)


def create_import(
    source: str, prefix: str, collection: str | None, priority: int | None
) -> Call[Batch]:
    place: dict[str, JsonValue] = {"name": source, "prefix": prefix}
    if collection is not None:
        place["collection"] = collection
    return _new_batch({"source": place}, priority)


def _new_batch(json: dict[str, JsonValue], priority: int | None) -> Call[Batch]:
    if priority is not None:
        json["priority"] = priority
    return Call("POST", "/v1/batches", read_model(Batch), json=json, creates=True)


def list_batches(limit: int, cursor: str | None) -> Call[Listing[Batch]]:
    return get("/v1/batches", Listing[Batch], {"limit": limit, "cursor": cursor})


def get_batch(batch_id: Id) -> Call[Batch]:
    return get(f"/v1/batches/{segment(batch_id)}", Batch)


def tell_batch(batch_id: Id, message: JobMessage) -> Call[Batch]:
    """Not repeated, as `tell_job`."""
    return Call(
        "POST", f"/v1/batches/{segment(batch_id)}/{message}", read_model(Batch), repeatable=False
    )


# ── search and answers ──────────────────────────────────────────────────────────────────────────


def search(
    query: str,
    mode: SearchMode,
    top_k: int,
    collection: str | None,
    filters: Mapping[str, JsonValue] | None,
) -> Call[SearchResult]:
    json: dict[str, JsonValue] = {"query": query, "mode": mode, "top_k": top_k}
    if collection is not None:
        json["collection"] = collection
    if filters:
        json["filter"] = dict(filters)
    return post("/v1/search", SearchResult, json)


def query(question: str, top_k: int, generate: Generate) -> Call[Answer]:
    return post("/v1/query", Answer, query_body(question, top_k, generate))


def query_body(
    question: str, top_k: int, generate: Generate, *, stream: bool = False
) -> dict[str, JsonValue]:
    return {"query": question, "top_k": top_k, "generate": generate, "stream": stream}


# ── parsing ─────────────────────────────────────────────────────────────────────────────────────


def _file_or_job(response: httpx.Response) -> File | Job:
    """A permanent deletion is accepted (202) and answered with its job."""
    if response.status_code == 202:
        return parse_model(Job, response.content)
    return read_model(File)(response)
