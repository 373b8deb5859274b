"""tus requests by hand, as the specification spells them."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx

VERSION = {"Tus-Resumable": "1.0.0"}
PIECE = {**VERSION, "Content-Type": "application/offset+octet-stream"}


def metadata(**fields: str) -> str:
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items()
    )


def checksum(content: bytes, algorithm: str = "sha1") -> str:
    digest = hashlib.new(algorithm, content, usedforsecurity=False).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


async def create(
    client: httpx.AsyncClient,
    length: int | None,
    headers: dict[str, str] | None = None,
    content: bytes | AsyncIterator[bytes] | None = None,
    **fields: str,
) -> httpx.Response:
    """POST /v1/uploads for a file called a.txt, unless the fields say otherwise."""
    sent = dict(VERSION)
    if length is not None:
        sent["Upload-Length"] = str(length)
    sent["Upload-Metadata"] = metadata(**{"filename": "a.txt", "filetype": "text/plain", **fields})
    if content is not None:
        sent |= PIECE
    return await client.post("/v1/uploads", headers={**sent, **(headers or {})}, content=content)


def address(created: httpx.Response) -> str:
    """The path that the Location leads to."""
    assert created.status_code == 201, created.text
    return created.request.url.join(created.headers["Location"]).path


async def opened(client: httpx.AsyncClient, length: int | None, **more: Any) -> str:
    return address(await create(client, length, **more))


async def patch(
    client: httpx.AsyncClient,
    path: str,
    offset: int,
    content: bytes | AsyncIterator[bytes],
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    sent = {**PIECE, "Upload-Offset": str(offset), **(headers or {})}
    return await client.patch(path, headers=sent, content=content)


async def head(client: httpx.AsyncClient, path: str) -> httpx.Response:
    return await client.head(path, headers=VERSION)


async def offset_of(client: httpx.AsyncClient, path: str) -> int:
    answer = await head(client, path)
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


async def content_of(client: httpx.AsyncClient, file_id: str) -> bytes:
    return (await client.get(f"/v1/files/{file_id}/content")).content
