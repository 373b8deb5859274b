"""A server that speaks as vLLM does for Surya: answers made by hand, none recorded from the model.

They follow the formats that surya-ocr's prompts and parsers name: no weights of Surya can be had here.
`python -m tests.torch.recorded_surya PORT` serves the good page, slowly.
"""

import asyncio
import base64
import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from PIL import Image

MODEL = "datalab-to/surya-ocr-2"
PAGE, LAYOUT, BLOCK = "OCR this image", "Output the layout", "OCR this block"

GOOD_PAGE = """\
<div data-label="Page-Header" data-bbox="100 30 900 50"><p>Borough of Aldwick</p></div>
<div data-label="Section-Header" data-bbox="100 80 600 120"><h1>Charter of the Market</h1></div>
<div data-label="Text" data-bbox="100 150 900 300"><p>The market is held on Tuesdays &amp; Fridays,
from the ringing of the bell until the sixth hour, and no stall is set up before.</p>\
<p>Tolls are paid to the <b>keeper</b>.</p></div>
<div data-label="Figure" data-bbox="100 320 400 500"><img alt="a seal"/></div>"""
TABLE_PAGE = """\
<div data-label="Table" data-bbox="100 100 900 500"><table><thead><tr><th>Stall</th><th colspan="2">Toll</th>\
</tr></thead><tbody><tr><td rowspan="2">Fish</td><td>summer</td><td>4 d</td></tr><tr><td>winter</td>\
<td>6 d<script>alert(1)</script></td></tr></tbody></table></div>
<div data-label="Text" data-bbox="100 600 900 640">Paid at the gate.</div>"""
GOOD_LAYOUT = json.dumps(
    [
        {"label": "Section-Header", "bbox": "100 80 600 120", "count": 50},
        {"label": "Text", "bbox": "100 150 900 300", "count": 100},
    ]
)
GARBAGE = "<td><<p data-bbox=>the model lost <b>its thread & wrote this without any place"


@dataclass
class Answer:
    """`tail` of an answer that breaks off is not sent."""

    text: str = GOOD_PAGE
    finish_reason: str = "stop"
    after_seconds: float = 0.0
    status: int = 200
    has_logprobs: bool = True
    breaks_off: bool = False
    raw: bytes | None = None


@dataclass
class Asked:
    """A request as it came."""

    prompt: str
    model: str
    size: tuple[int, int]
    temperature: float


@dataclass
class Recorded:
    """What the server answers by prompt, what it was asked, and which requests were dropped."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    dropped: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    is_healthy: bool = True
    models: tuple[str, ...] = (MODEL,)
    url: str = ""

    def answer(self, prompt: str, **how: object) -> None:
        self.answers[prompt] = Answer(**how)  # type: ignore[arg-type] # fields of an Answer


def application(recorded: Recorded) -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    async def health() -> Response:
        return Response(status_code=200 if recorded.is_healthy else 503)

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        served = [{"id": name, "object": "model"} for name in recorded.models]
        return {"object": "list", "data": served}

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        asked = _asked(body)
        recorded.asked.append(asked)
        recorded.in_flight += 1
        recorded.most_in_flight = max(recorded.most_in_flight, recorded.in_flight)
        try:
            answer = next(
                (
                    answer
                    for prompt, answer in recorded.answers.items()
                    if asked.prompt.startswith(prompt)
                ),
                Answer(),
            )
            if await _waited_for(request, answer.after_seconds):
                return _response(answer)
            recorded.dropped += 1
            return Response(status_code=499)
        finally:
            recorded.in_flight -= 1

    return app


async def _waited_for(request: Request, seconds: float) -> bool:
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        if await request.is_disconnected():
            return False
        await asyncio.sleep(0.02)
    return True


def _asked(body: dict[str, object]) -> Asked:
    (message,) = body["messages"]  # type: ignore[misc] # one message, as the API has it
    picture, prompt = message["content"]  # type: ignore[index] # the same
    data = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
    size = Image.open(io.BytesIO(data)).size
    return Asked(prompt["text"], str(body["model"]), size, float(str(body["temperature"])))


def _response(answer: Answer) -> Response:
    if answer.raw is not None:
        return Response(answer.raw, media_type="application/json")
    if answer.status != 200:
        return JSONResponse({"error": {"message": "no"}}, answer.status)
    content = json.dumps(_completion(answer)).encode()
    if not answer.breaks_off:
        return Response(content, media_type="application/json")

    async def half() -> AsyncIterator[bytes]:
        yield content[: len(content) // 2]
        raise ConnectionAbortedError

    headers = {"content-length": str(len(content))}
    return StreamingResponse(half(), media_type="application/json", headers=headers)


def _completion(answer: Answer) -> dict[str, object]:
    tokens = [
        {"token": word, "logprob": -0.1, "bytes": None, "top_logprobs": []}
        for word in answer.text.split()
    ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text},
                "logprobs": {"content": tokens} if answer.has_logprobs else None,
                "finish_reason": answer.finish_reason,
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": len(tokens), "total_tokens": 1},
    }


@asynccontextmanager
async def serving(
    change: Callable[[Recorded], None] = lambda _: None,
) -> AsyncIterator[Recorded]:
    """The server on a port of its own, for as long as the block lasts."""
    recorded = Recorded()
    change(recorded)
    config = uvicorn.Config(
        application(recorded), host="127.0.0.1", port=0, log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    recorded.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield recorded
    finally:
        server.should_exit = server.force_exit = True
        await running


if __name__ == "__main__":
    slow = Recorded()
    slow.answer(PAGE, after_seconds=30.0)
    uvicorn.run(application(slow), host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
