"""Chromium, and pages of several origins for it to open.

All are on this machine. `localhost` and `127.0.0.1` are two sites; ports of one of them are origins of
one site.
"""

import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright

SITE = "http://localhost"
OTHER_SITE = "http://127.0.0.1"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_CALL = """async ([address, options]) => {
    try {
        const answer = await fetch(address, options);
        return {
            status: answer.status, text: await answer.text(),
            headers: Object.fromEntries(answer.headers),
        };
    } catch (error) {
        return {status: 0, text: error.name, headers: {}};
    }
}"""
_STREAM = """([address, withCredentials]) => new Promise((resolve) => {
    const stream = new EventSource(address, {withCredentials});
    let isOpen = false;
    const end = (text) => { stream.close(); resolve({isOpen, text}); };
    stream.onopen = () => { isOpen = true; };
    stream.addEventListener("snapshot", (event) => end(event.data));
    stream.onerror = () => end("");
    setTimeout(() => end(""), %d);
})"""
_FIRST_DATA = """async ([address, options]) => {
    const answer = await fetch(address, options);
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (!text.includes("data:")) {
        const {value, done} = await reader.read();
        if (done) break;
        text += decoder.decode(value, {stream: true});
    }
    await reader.cancel();
    return text;
}"""


@dataclass(frozen=True)
class Answer:
    """What a page's script got to read; status 0 where the browser kept all of it back."""

    status: int
    text: str
    headers: dict[str, str]


async def call(page: Page, address: str, **options: Any) -> Answer:
    """`fetch` by a script of the page."""
    return Answer(**await page.evaluate(_CALL, [address, options]))


@dataclass(frozen=True)
class Stream:
    """An `EventSource` as a page sees it; without a snapshot where none came within the time."""

    is_open: bool
    snapshot: str


async def stream(
    page: Page, address: str, *, with_credentials: bool = False, seconds: float = 30
) -> Stream:
    script = _STREAM % int(seconds * 1000)
    found = await page.evaluate(script, [address, with_credentials])
    return Stream(found["isOpen"], found["text"])


async def first_data(page: Page, address: str, **options: Any) -> str:
    """A stream up to its first data, read by `fetch` of a script of the page."""
    found: str = await page.evaluate(_FIRST_DATA, [address, options])
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[BrowserContext]:
    """A new one without cookies. Skips the test on machines that have none."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("Chromium is absent: pages of other origins are not tried in a browser")
    # Nothing of these tests is outside of this machine, whatever proxy it has.
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, env=environment)
        try:
            yield await browser.new_context()
        finally:
            await browser.close()


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A page</title>")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its interface
        pass


@contextmanager
def serving_pages() -> Iterator[int]:
    """The port on which an empty page is served, at both sites."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
