"""A small HTTP API that answers as the contract says, on a real socket, and misbehaves on request.

It keeps files in memory, plays each job's events from a script, and can refuse, cut off or forget.
"""

import asyncio
import io
import json
import threading
import time
import zipfile
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import uvicorn
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "mun_key-of-the-tests"
STAGES = (
    "scan",
    "inspect",
    "read",
    "assemble",
    "classify",
    "chunk",
    "embed",
    "publish",
    "announce",
)
Endpoint = Callable[[Request], Awaitable[Response]]
Record = dict[str, JsonValue]


class CutOff(Exception):
    """Ends a response in its middle, as a killed process would."""


@dataclass
class Fault:
    """What a request gets instead of its answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Record | None = None


@dataclass
class ApiForTests:
    """`faults[(method, path)]` are used up first; `cuts[path]` says after how many events (streams)
    or bytes (content) each connection breaks."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    faults: dict[tuple[str, str], deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    cuts: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    files: dict[str, Record] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    contents_after_cut: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, Record] = field(default_factory=dict)
    batches: dict[str, Record] = field(default_factory=dict)
    events: dict[str, list[tuple[str, Record]]] = field(default_factory=dict)
    tenant_log: list[tuple[str, Record]] = field(default_factory=list)
    answers_by_key: dict[str, Record] = field(default_factory=dict)
    forms: list[Record] = field(default_factory=list)
    questions: list[Record] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)
    forgotten_ids: set[str] = field(default_factory=set)
    tenant_stream_works: bool = True
    jobs_end: bool = True
    cuts_look_whole: bool = False

    # ── what tests set up ───────────────────────────────────────────────────────────────────────

    def fail(self, method: str, path: str, *faults: Fault) -> None:
        self.faults[(method, path)].extend(faults)

    def requests_of(self, method: str, path: str) -> list[dict[str, str]]:
        """Headers of the requests that came, in order."""
        return [headers for verb, seen, headers in self.requests if (verb, seen) == (method, path)]

    def add_job(
        self, *, state: str = "completed", pages: int = 2, error: Record | None = None
    ) -> Record:
        """A job whose events run from queued to `state`."""
        job = new_job(pages)
        job_id = str(job["id"])
        running = {**job, "state": "running", "stage": "scan"}
        log: list[tuple[str, Record]] = [("snapshot", job), ("state", running)]
        for stage in STAGES:
            total = pages if stage == "read" else 1
            for done, now in ((0, "running"), (total, "completed")):
                log.append(("stage", new_stage(stage, now, done, total)))
        ended: Record = {**running, "state": state, "stage": "announce", "error": error}
        if state == "completed":
            ended |= {
                "percent": 100.0,
                "pages": {"total": pages, "done": pages, "failed": 0, "reused": 0},
            }
        log += [("state", ended)] + ([("end", ended)] if state != "waiting" else [])
        self.events[job_id] = log
        self.jobs[job_id] = ended if self.jobs_end else running
        return job

    # ── the routes ──────────────────────────────────────────────────────────────────────────────

    async def upload(self, request: Request) -> Response:
        key = request.headers["idempotency-key"]
        async with request.form() as form:
            part = form["file"]
            assert isinstance(part, UploadFile)
            content = await part.read()
            fields: Record = {name: str(value) for name, value in form.items() if name != "file"}
        if key in self.answers_by_key:
            return JSONResponse(self.answers_by_key[key], 202)
        self.forms.append({**fields, "media_type": part.content_type})
        name = str(fields["name"])
        file = self.add_file(name, content)
        self.answers_by_key[key] = file
        return JSONResponse(file, 202, {"Location": f"/v1/files/{file['id']}"})

    def add_file(self, name: str, content: bytes) -> Record:
        end = self.ends.get(name, "completed")
        found = {"failed": "damaged-document", "waiting": "malware-found"}.get(end)
        error = new_problem(found, 422) if found else None
        job = self.add_job(state=end, error=error)
        file_id = str(uuid4())
        self.contents[file_id] = content
        self.files[file_id] = {
            "id": file_id, "name": name, "state": "received", "size": len(content), "job": job,
            "media_type": "text/plain", "a_field_of_tomorrow": [1, 2], "deduplicated": None,
        }  # fmt: skip
        job["file_id"] = file_id
        job_id = str(job["id"])
        self.tenant_log += [
            (kind, {**data, "job_id": job_id}) for kind, data in self.events[job_id]
        ]
        return self.files[file_id]

    async def file(self, request: Request) -> Response:
        file = self.files.get(request.path_params["id"])
        return JSONResponse(file) if file else problem("not-found", 404)

    async def delete(self, request: Request) -> Response:
        if request.query_params.get("permanent") == "true":
            return JSONResponse({**new_job(0), "kind": "erase_file"}, 202)
        return JSONResponse({**self.files[request.path_params["id"]], "state": "trashed"})

    async def list_files(self, request: Request) -> Response:
        return JSONResponse({"data": list(self.files.values()), "next_cursor": None})

    async def read_text(self, request: Request) -> Response:
        """The content itself, as what was read of it."""
        return Response(self.contents[request.path_params["id"]], media_type="text/plain")

    async def picture(self, request: Request) -> Response:
        """Bytes that say what was asked for."""
        asked = f"{request.url.path} {request.query_params}"
        return Response(asked.encode(), media_type="image/webp")

    async def content(self, request: Request) -> Response:
        file_id = request.path_params["id"]
        whole = self.contents[file_id]
        etag = f'"{hash(whole):x}"'
        start = 0
        if request.headers.get("if-range") == etag:
            start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        rest = whole[start:]
        cuts = self.cuts[request.url.path]
        sent = rest[: cuts.popleft()] if cuts else rest

        async def body() -> AsyncIterator[bytes]:
            yield sent
            if len(sent) < len(rest):
                self.contents[file_id] = self.contents_after_cut.get(file_id, whole)
                raise CutOff

        headers = {"ETag": etag, "Content-Length": str(len(rest))}
        return StreamingResponse(body(), 206 if start else 200, headers)

    async def archive(self, request: Request) -> Response:
        """The contents in a ZIP archive, numbered; it may be cut off, or end early as if whole."""
        body = await request.json()
        self.forms.append(body)
        gathered = io.BytesIO()
        with zipfile.ZipFile(gathered, "w") as packed:
            for number, each in enumerate(body["files"]):
                packed.writestr(f"{number}.bin", self.contents[each["id"]])
        whole = gathered.getvalue()
        cuts = self.cuts[request.url.path]
        sent = whole[: cuts.popleft()] if cuts else whole

        async def stream() -> AsyncIterator[bytes]:
            yield sent
            if len(sent) < len(whole) and not self.cuts_look_whole:
                raise CutOff

        return StreamingResponse(stream(), media_type="application/zip")

    async def compare_versions(self, request: Request) -> Response:
        """Two answers: a page that changed, then one that moved."""
        is_second = "cursor" in request.query_params
        self.forms.append(dict(request.query_params))
        changed: Record = {
            "state": "changed", "page": 2, "with_page": 1, "words_removed": 1, "words_added": 1,
            "differences": [
                {"kind": "omitted", "words": 9, "text": ""}, {"kind": "equal", "words": 1, "text": "the"},
                {"kind": "removed", "words": 1, "text": "lease"},
                {"kind": "added", "words": 1, "text": "de\x1bed"},
            ],
        }  # fmt: skip
        moved: Record = {"state": "unchanged", "page": 5, "with_page": 3, "moved": True}
        body: Record = {
            "version": int(request.path_params["number"]), "with_version": 1,
            "pages": {"unchanged": 4, "changed": 1, "moved": 1},
            "data": [moved if is_second else changed],
            "next_cursor": None if is_second else "more",
        }  # fmt: skip
        return JSONResponse(body)

    async def list_jobs(self, request: Request) -> Response:
        return JSONResponse({"data": list(self.jobs.values())[::-1], "next_cursor": None})

    async def job(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["id"])
        return JSONResponse(job) if job else problem("not-found", 404)

    async def tell(self, request: Request) -> Response:
        job = self.jobs[request.path_params["id"]]
        message = request.path_params["message"]
        if message == "retry":
            return JSONResponse({**new_job(0), "retry_of": job["id"]}, 202)
        if job["state"] in ("completed", "failed", "cancelled"):
            return problem("conflict", 409)
        return JSONResponse({**job, "state": "cancelled" if message == "cancel" else "paused"})

    async def make_batch(self, request: Request) -> Response:
        """Over when it is looked at for the second time; `broken/` has an object that is left out."""
        body: Record = await request.json()
        source = body.get("source")
        files = body.get("files")
        batch: Record = {
            "id": str(uuid4()), "state": "running", "percent": 0.0, "asked": body,
            "files": {"total": len(files) if isinstance(files, list) else 0}, "source": None,
        }  # fmt: skip
        if isinstance(source, dict):
            batch["source"] = {**source, "listed": False, "problems": {}}
        self.batches[str(batch["id"])] = batch
        return JSONResponse(batch, 202)

    async def batch(self, request: Request) -> Response:
        batch = self.batches.get(request.path_params["id"])
        if batch is None:
            return problem("not-found", 404)
        source = batch["source"]
        is_broken = isinstance(source, dict) and source["prefix"] == "broken/"
        self.batches[str(batch["id"])] = ended_batch(batch, is_broken=is_broken)
        return JSONResponse(batch)

    async def list_batches(self, request: Request) -> Response:
        return JSONResponse({"data": list(self.batches.values())[::-1], "next_cursor": None})

    async def tell_batch(self, request: Request) -> Response:
        batch = self.batches[request.path_params["id"]]
        if batch["state"] == "completed":
            return problem("conflict", 409)
        state = {"cancel": "cancelled", "pause": "paused"}.get(request.path_params["message"])
        return JSONResponse({**batch, "state": state or "running"})

    async def job_events(self, request: Request) -> Response:
        log = self.events[request.path_params["id"]]
        return self._stream(request, log)

    async def all_events(self, request: Request) -> Response:
        if not self.tenant_stream_works:
            return problem("forbidden", 403)
        return StreamingResponse(self._tenant_stream(), media_type="text/event-stream")

    def _stream(self, request: Request, log: list[tuple[str, Record]]) -> Response:
        last = request.headers.get("last-event-id", "0")
        if last in self.forgotten_ids:
            return problem("conflict", 409)
        start = int(last)
        if start >= len(log):
            return Response(status_code=204)
        cuts = self.cuts[request.url.path]
        end = start + cuts.popleft() if cuts else len(log)

        async def body() -> AsyncIterator[str]:
            yield ": heartbeat\n\n"
            for number in range(start, min(end, len(log))):
                yield encoded(number + 1, *log[number])
            if end < len(log):
                yield f'id: {end + 1}\nevent: stage\ndata: {{"cut'  # in the middle of an event
                raise CutOff

        return StreamingResponse(body(), media_type="text/event-stream")

    async def _tenant_stream(self) -> AsyncIterator[str]:
        sent = 0
        while True:  # until whoever listens hangs up
            while sent < len(self.tenant_log):
                sent += 1
                yield encoded(sent, *self.tenant_log[sent - 1])
            await asyncio.sleep(0.02)

    async def search(self, request: Request) -> Response:
        body = await request.json()
        return JSONResponse(
            {"data": [new_hit()], "mode_used": body["mode"], "timings_ms": {"all": 3}}
        )

    async def query(self, request: Request) -> Response:
        body = await request.json()
        self.questions.append(body)
        if not body["stream"]:
            return JSONResponse(new_answer())
        answer = new_answer()
        citations = answer["citations"]
        assert isinstance(citations, list)

        async def stream() -> AsyncIterator[str]:
            yield encoded(1, "token", {"text": "Forty-"}) + encoded(2, "token", {"text": "two."})
            first = citations[0]
            assert isinstance(first, dict)
            yield encoded(3, "citation", first)
            if "cut" in body["query"]:
                raise CutOff
            yield encoded(4, "done", answer)

        return StreamingResponse(stream(), media_type="text/event-stream")

    # ── the machinery ───────────────────────────────────────────────────────────────────────────

    def application(self) -> Starlette:
        routes = [
            Route("/v1/files", self.upload, methods=["POST"]),
            Route("/v1/files", self.list_files),
            Route("/v1/files/archive", self.archive, methods=["POST"]),
            Route("/v1/files/{id}", self.file, methods=["GET"]),
            Route("/v1/files/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/files/{id}/content", self.content),
            Route("/v1/files/{id}/versions/{number}/comparison", self.compare_versions),
            Route("/v1/files/{id}/markdown", self.read_text),
            Route("/v1/files/{id}/text", self.read_text),
            Route("/v1/files/{id}/pages/{page}/image", self.picture),
            Route("/v1/files/{id}/thumbnail", self.picture),
            Route("/v1/jobs", self.list_jobs),
            Route("/v1/jobs/{id}", self.job),
            Route("/v1/jobs/{id}/events", self.job_events),
            Route("/v1/jobs/{id}/{message}", self.tell, methods=["POST"]),
            Route("/v1/batches", self.make_batch, methods=["POST"]),
            Route("/v1/batches", self.list_batches),
            Route("/v1/batches/{id}", self.batch),
            Route("/v1/batches/{id}/{message}", self.tell_batch, methods=["POST"]),
            Route("/v1/events", self.all_events),
            Route("/v1/search", self.search, methods=["POST"]),
            Route("/v1/query", self.query, methods=["POST"]),
        ]
        routes = [
            Route(route.path, self._guarded(route.endpoint), methods=list(route.methods or ()))
            for route in routes
        ]
        return Starlette(routes=routes)

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            path = request.url.path
            self.requests.append((request.method, path, dict(request.headers)))
            faults = self.faults[(request.method, path)]
            if faults:
                fault = faults.popleft()
                return JSONResponse(fault.body or {}, fault.status, fault.headers)
            if request.headers.get("authorization") != f"Bearer {KEY}":
                return problem("unauthenticated", 401)
            return await endpoint(request)

        return guarded


@contextmanager
def serving(api: ApiForTests) -> Iterator[ApiForTests]:
    """The API on a free port, in a thread."""
    config = uvicorn.Config(
        api.application(),
        port=0,
        log_config=None,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="API for tests")
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline, "the API for tests did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    api.url = f"http://127.0.0.1:{port}"
    try:
        yield api
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def ended_batch(batch: Record, *, is_broken: bool) -> Record:
    source = batch["source"]
    if is_broken and isinstance(source, dict):
        left_out: JsonValue = [{"name": "broken/a\x1b.txt", "problem": "object-missing"}]
        source = {**source, "problems": {"object-missing": 1}, "left_out": left_out}
    return {
        **batch, "state": "completed", "percent": 100.0, "source": source,
        "finished_at": "2026-01-01T00:00:00Z",
        "files": {"total": 2, "done": 1 if is_broken else 2, "failed": 1 if is_broken else 0},
    }  # fmt: skip


def encoded(number: int, kind: str, data: Record) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


def problem(name: str, status: int) -> Response:
    return JSONResponse(new_problem(name, status), status, media_type="application/problem+json")


def new_problem(name: str, status: int) -> Record:
    return {
        "type": f"urn:muniment:problem:{name}", "title": f"title of {name}", "status": status,
        "detail": f"detail of {name}", "remedy": f"remedy of {name}", "request_id": "r-1",
    }  # fmt: skip


def new_job(pages: int) -> Record:
    stages: list[JsonValue] = [new_stage(name, "pending", 0, 0) for name in STAGES]
    return {
        "id": str(uuid4()), "kind": "ingest_file", "state": "queued", "stage": None, "percent": 0.0,
        "stages": stages, "pages": {"total": pages, "done": 0, "failed": 0, "reused": 0},
    }  # fmt: skip


def new_stage(name: str, state: str, done: int, total: int) -> Record:
    return {"name": name, "state": state, "done": done, "total": total, "attempts": 1}


CHUNK = str(UUID(int=7))
FILE = str(UUID(int=8))


def new_hit() -> Record:
    return {
        "chunk_id": CHUNK, "file_id": FILE, "version": 1, "name": "guide.pdf", "text": "The answer is 42.",
        "highlights": [[4, 10]], "score": 0.75, "pages": [3], "boxes": [{"page": 3, "bbox": [1, 2, 3, 4]}],
    }  # fmt: skip


def new_answer() -> Record:
    citation: Record = {
        "n": 1, "chunk_id": CHUNK, "file_id": FILE, "page": 3, "quote": "The answer is 42.",
        "verified": True, "boxes": [],
    }  # fmt: skip
    return {
        "answer": "Forty-two. [1]", "citations": [citation], "sources": [new_hit()],
        "meta": {"model": None, "mode": "extractive", "cached": False, "timings_ms": {}, "tokens": None},
    }  # fmt: skip
