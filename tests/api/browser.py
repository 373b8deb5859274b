"""Chromium, and pages of several origins for it to open.

All are on this machine. `localhost` and `127.0.0.1` are two sites; ports of one of them are origins of one site.
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
_FIRST_EVENT = """([address, withCredentials]) => new Promise((resolve) => {
    const stream = new EventSource(address, {withCredentials});
    const end = (text) => { stream.close(); resolve(text); };
    stream.addEventListener("snapshot", (event) => end(event.data));
    stream.onerror = () => end("");
})"""
_FIRST_BYTES = """async ([address, options]) => {
    const answer = await fetch(address, options);
    const reader = answer.body.getReader();
    const {value} = await reader.read();
    await reader.cancel();
    return new TextDecoder().decode(value);
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


async def first_event(page: Page, address: str, *, with_credentials: bool = False) -> str:
    """The snapshot that an `EventSource` of the page gets; empty where it may not read the stream."""
    found: str = await page.evaluate(_FIRST_EVENT, [address, with_credentials])
    return found


async def first_bytes(page: Page, address: str, **options: Any) -> str:
    """What a stream begins with that a script of the page reads by `fetch`."""
    found: str = await page.evaluate(_FIRST_BYTES, [address, options])
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
