"""Uploads and downloads of every kind that are in their middle when a blow falls, and what their client
was told: what was acknowledged is there and whole, what failed said so."""

import asyncio
import hashlib
import io
import os
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import httpx

from tests.api.tus import PIECE, address, create, head
from tests.chaos.installation import Installation
from tests.conftest import TenantFixture
from tests.patience import on_a_busy_machine

MEBIBYTE = 1024 * 1024
UPLOAD_BYTES = 10 * MEBIBYTE
HALF_WAY = 9 * MEBIBYTE
"""Beyond the first part of 8 MiB, which is in the store by then, or on its way there."""
PIECE_BYTES = 64 * 1024
DOWNLOAD_BYTES = 24 * MEBIBYTE
"""More than lies in the buffers of the connections on the way."""
BEGIN_SECONDS = 60
END_SECONDS = 240
BOUNDARY = "0123456789abcdef"


@dataclass
class Upload:
    """One file on its way; `answer` is None where the connection was cut."""

    way: str
    content: bytes = field(default_factory=lambda: os.urandom(UPLOAD_BYTES))
    is_half_way: asyncio.Event = field(default_factory=asyncio.Event)
    answer: httpx.Response | None = None

    @property
    def name(self) -> str:
        return f"{self.way}.bin"

    @property
    def file_id(self) -> str | None:
        """Of the file that was acknowledged, if one was."""
        if self.answer is None or not self.answer.is_success:
            return None
        told = self.answer.headers.get("Muniment-File")
        return str(told or self.answer.json()["id"])


@dataclass
class Download:
    """`whole` is what was to come; `outcome` what came, or None where it was broken off."""

    way: str
    whole: bytes
    is_half_way: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: bytes | None = None


class Transfers:
    """Three uploads and three downloads of one tenant."""

    def __init__(self, installation: Installation, *, by_line: bool = False) -> None:
        self._installation = installation
        self._by_line = by_line
        self._go_on = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._running = AsyncExitStack()
        self._tus_path = ""
        self._senders: dict[str, Callable[[httpx.AsyncClient, Upload], Awaitable[httpx.Response]]]
        self._senders = {"raw": self._raw, "multipart": self._multipart, "tus": self._tus}
        self.tenant: TenantFixture = installation.new_tenant()
        self.uploads = [Upload(way) for way in self._senders]
        self.downloads: list[Download] = []

    async def begin(self) -> None:
        """Returns when all of them are in their middle."""
        clients = [
            await self._running.enter_async_context(
                self._installation.client(self.tenant, by_line=self._by_line)
            )
            for _ in range(2)
        ]
        stored = os.urandom(DOWNLOAD_BYTES)
        before = await clients[0].post("/v1/files?name=before.bin", content=stored)
        assert before.status_code == 202, before.text
        self._tus_path = address(await create(clients[0], UPLOAD_BYTES, filename="tus.bin"))
        self.downloads = [
            Download("whole", stored), Download("range", stored[1000:]), Download("zip", stored)
        ]  # fmt: skip
        file_id = before.json()["id"]
        self._tasks = [
            *(asyncio.create_task(self._send(clients[0], upload)) for upload in self.uploads),
            *(
                asyncio.create_task(self._fetch(clients[1], file_id, download))
                for download in self.downloads
            ),
        ]
        halves = [each.is_half_way.wait() for each in (*self.uploads, *self.downloads)]
        async with asyncio.timeout(on_a_busy_machine(BEGIN_SECONDS)):
            await asyncio.gather(*halves)

    async def end(self) -> None:
        """Lets them go on, and returns when each has come to an end, however it is."""
        self._go_on.set()
        async with asyncio.timeout(on_a_busy_machine(END_SECONDS)):
            await asyncio.gather(*self._tasks)
        await self._running.aclose()

    def require_honest(self) -> None:
        """Whatever failed was told: by a problem, or by a connection that broke."""
        for upload in self.uploads:
            if upload.answer is not None and upload.file_id is None:
                problem = upload.answer.json()
                assert upload.answer.status_code in (503, 507), problem
                assert problem["remedy"], problem
                assert int(upload.answer.headers["Retry-After"]) > 0
        for download in self.downloads:
            assert download.outcome in (None, download.whole), f"{download.way} came cut short"

    async def require_kept(self) -> None:
        """All that was acknowledged is listed, and whole; so is what was committed untold."""
        async with self._installation.client(self.tenant) as client:
            listed = await self._listed(client)
            for upload in self.uploads:
                ids = listed.get(upload.name, [])
                if upload.file_id is not None:
                    assert ids == [upload.file_id], f"{upload.name} was acknowledged"
                for file_id in ids:
                    await self._require_whole(client, file_id, upload.content)

    async def repeat(self) -> None:
        """Sends each upload again as its client would: under its key, or from where it broke off.
        There is one file of each then, the acknowledged one where there was one."""
        self._installation.end_leases()
        async with self._installation.client(self.tenant) as client:
            for upload in self.uploads:
                answer = await self._senders[upload.way](client, upload)
                assert answer.is_success, answer.text
                again = Upload(upload.way, upload.content, answer=answer)
                assert upload.file_id in (None, again.file_id)
                upload.answer = answer
            listed = await self._listed(client)
        assert {len(ids) for ids in listed.values()} == {1}

    async def _listed(self, client: httpx.AsyncClient) -> dict[str, list[str]]:
        answer = await client.get("/v1/files", params={"limit": 100})
        assert answer.status_code == 200, answer.text
        found: dict[str, list[str]] = {}
        for file in answer.json()["data"]:
            found.setdefault(file["name"], []).append(file["id"])
        return found

    async def _require_whole(self, client: httpx.AsyncClient, file_id: str, content: bytes) -> None:
        file = (await client.get(f"/v1/files/{file_id}")).json()
        assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        answer = await client.get(f"/v1/files/{file_id}/content")
        assert answer.status_code == 200, answer.text
        assert answer.content == content
        assert answer.headers["ETag"] == f'"{file["sha256"]}"'

    async def _send(self, client: httpx.AsyncClient, upload: Upload) -> None:
        try:
            upload.answer = await self._senders[upload.way](client, upload)
        except httpx.TransportError:
            upload.answer = None
        finally:
            upload.is_half_way.set()  # refused before: `begin` does not wait for it

    async def _raw(self, client: httpx.AsyncClient, upload: Upload) -> httpx.Response:
        return await client.post(
            "/v1/files",
            params={"name": upload.name},
            content=self._pieces(upload, upload.content),
            headers={"Idempotency-Key": upload.way},
        )

    async def _multipart(self, client: httpx.AsyncClient, upload: Upload) -> httpx.Response:
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{upload.name}"'
            "\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + upload.content + f"\r\n--{BOUNDARY}--\r\n".encode()
        headers = {
            "Idempotency-Key": upload.way,
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        }
        return await client.post("/v1/files", content=self._pieces(upload, body), headers=headers)

    async def _tus(self, client: httpx.AsyncClient, upload: Upload) -> httpx.Response:
        """From where the upload is; HEAD's answer where it is a file already."""
        asked = await head(client, self._tus_path)
        if not asked.is_success or "Muniment-File" in asked.headers:
            return asked
        offset = int(asked.headers["Upload-Offset"])
        return await client.patch(
            self._tus_path,
            headers={**PIECE, "Upload-Offset": str(offset)},
            content=self._pieces(upload, upload.content[offset:]),
        )

    async def _pieces(self, upload: Upload, body: bytes) -> AsyncIterator[bytes]:
        """Waits in the middle until the blow has fallen."""
        for first in range(0, len(body), PIECE_BYTES):
            if first >= HALF_WAY and not self._go_on.is_set():
                upload.is_half_way.set()
                await self._go_on.wait()
            yield body[first : first + PIECE_BYTES]

    async def _fetch(self, client: httpx.AsyncClient, file_id: str, download: Download) -> None:
        request = client.build_request("GET", f"/v1/files/{file_id}/content")
        if download.way == "range":
            request.headers["Range"] = "bytes=1000-"
        elif download.way == "zip":
            body = {"files": [{"id": file_id}]}
            request = client.build_request("POST", "/v1/files/archive", json=body)
        received = bytearray()
        try:
            answer = await client.send(request, stream=True)
            assert answer.is_success, await answer.aread()
            async for piece in answer.aiter_raw():
                received += piece
                download.is_half_way.set()
                await self._go_on.wait()
        except httpx.TransportError:
            return
        came = bytes(received)
        if download.way == "zip":
            with zipfile.ZipFile(io.BytesIO(came)) as archive:
                came = archive.read("before.bin")
        download.outcome = came
