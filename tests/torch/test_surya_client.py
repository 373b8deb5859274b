"""surya-ocr's own client code against hand-made answers, not the model (see recorded_surya.py)."""

import asyncio
import gzip
import logging
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import numpy
import pytest
from PIL import Image, ImageDraw, ImageFont

from activities.ocr_service.surya import SuryaOcr, SuryaOptions
from activities.read.page_image import PageImage
from muniment.errors import ConfigurationError, OcrServiceBusy, OcrServiceUnavailable
from tests.conftest import free_port
from tests.torch.recorded_surya import (
    BLOCK,
    GARBAGE,
    GOOD_LAYOUT,
    GOOD_PAGE,
    LAYOUT,
    MODEL,
    PAGE,
    TABLE_PAGE,
    serving,
)

pytestmark = pytest.mark.torch

SCALE = 1.0
WIDTH, HEIGHT = 600.0, 800.0


def page(*, blank: bool = False) -> PageImage:
    """A page of 600 × 800 points with ink where the hand-made answers place their blocks."""
    picture = Image.new("RGB", (int(WIDTH * SCALE), int(HEIGHT * SCALE)), "white")
    if not blank:
        draw = ImageDraw.Draw(picture)
        for y in range(10, 790, 12):
            draw.text((50, y), "lines of ink " * 8, "black", ImageFont.load_default(10))
    return PageImage(numpy.asarray(picture)[:, :, ::-1].copy(), SCALE, WIDTH, HEIGHT)


@asynccontextmanager
async def client(
    url: str, *, timeout_seconds: float = 20.0, concurrency: int = 4
) -> AsyncIterator[SuryaOcr]:
    options = SuryaOptions(url, MODEL, None, concurrency, timeout_seconds)
    async with SuryaOcr(options) as service:
        yield service


async def until(condition: bool | object, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator] # any call, whatever it returns
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_page_is_one_request_and_comes_back_with_lines_boxes_and_confidence() -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        await surya.check()
        read = await surya.read(3, page())
    (asked,) = recorded.asked
    assert asked.model == MODEL
    assert asked.temperature == 0.0
    assert asked.size[0] % 28 == asked.size[1] % 28 == 0, "scaled as the model was trained"
    assert (read.page, read.engine, read.width, read.height) == (3, "surya", 600, 800)
    assert [line.text for line in read.lines] == [
        "Borough of Aldwick",
        "Charter of the Market",
        "The market is held on Tuesdays & Fridays, from the ringing of the bell until the sixth hour,"
        " and no stall is set up before.",
        "Tolls are paid to the keeper.",
    ]
    assert read.lines[1].bbox == pytest.approx((60, 64, 360, 96))
    assert read.pictures == (pytest.approx((60, 256, 240, 400)),)
    assert read.confidence == pytest.approx(0.9048, abs=1e-3), "the mean of the tokens' exp(-0.1)"
    assert all(line.confidence == read.confidence for line in read.lines)


async def test_a_table_keeps_its_cells_and_loses_its_markup() -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.answer(PAGE, text=TABLE_PAGE)
        read = await surya.read(1, page())
    (table,) = read.tables
    texts = {(cell.row, cell.column): read.lines[cell.first_line].text for cell in table.cells}
    assert texts == {
        (0, 0): "Stall",
        (0, 1): "Toll",
        (1, 0): "Fish",
        (1, 1): "summer",
        (1, 2): "4 d",
        (2, 1): "winter",
        (2, 2): "6 d",
    }
    spans = {(cell.row, cell.column): (cell.row_span, cell.column_span) for cell in table.cells}
    assert (spans[0, 1], spans[1, 0]) == ((1, 2), (2, 1))
    assert [cell.is_header for cell in table.cells][:2] == [True, True]
    assert read.lines[-1].text == "Paid at the gate."
    assert "<" not in read.text
    assert "alert" not in read.text


async def test_a_server_without_probabilities_gives_no_confidence() -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.answer(PAGE, has_logprobs=False)
        read = await surya.read(1, page())
    assert read.confidence is None
    assert {line.confidence for line in read.lines} == {None}


@pytest.mark.parametrize(
    "bad",
    [{"text": GARBAGE}, {"text": GOOD_PAGE[:420], "finish_reason": "length"}, {"text": ""}],
    ids=["garbage", "truncated", "nothing"],
)
async def test_a_page_whose_answer_is_unusable_is_asked_for_block_by_block(
    bad: dict[str, str],
) -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.answer(PAGE, **bad)
        recorded.answer(LAYOUT, text=GOOD_LAYOUT)
        recorded.answer(BLOCK, text="<p>A block by itself</p>")
        read = await surya.read(1, page())
    assert [line.text for line in read.lines] == ["A block by itself"] * 2
    assert [asked.prompt.split(".")[0].split(" as ")[0] for asked in recorded.asked[:2]] == [
        "OCR this image to HTML",
        "Output the layout of this image",
    ]
    assert len(recorded.asked) == 4


@pytest.mark.parametrize(
    ("part", "bad"),
    [
        (LAYOUT, {"text": GARBAGE}),
        (LAYOUT, {"text": GOOD_LAYOUT, "finish_reason": "length"}),
        (BLOCK, {"text": "<p>half a", "finish_reason": "length"}),
    ],
    ids=["garbage layout", "truncated layout", "truncated block"],
)
async def test_a_page_of_which_a_part_is_missing_is_no_page(part: str, bad: dict[str, str]) -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.answer(PAGE, text=GARBAGE)
        recorded.answer(LAYOUT, text=GOOD_LAYOUT)
        recorded.answer(part, **bad)
        with pytest.raises(OcrServiceUnavailable):
            await surya.read(1, page())


@pytest.mark.parametrize("box", ["nan 0 1 1", "1e308 1e308 -1e308 inf", "-50 -50 99999 99999"])
async def test_boxes_that_are_none_hurt_nobody(box: str) -> None:
    text = GOOD_PAGE.replace("100 80 600 120", box)
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.answer(PAGE, text=text)
        try:
            read = await surya.read(1, page())
        except OcrServiceUnavailable:
            return
    for line in read.lines:
        assert line.bbox is None or all(0 <= side <= 800 for side in line.bbox)


async def test_a_blank_page_may_be_empty() -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.answer(PAGE, text="")
        read = await surya.read(1, page(blank=True))
    assert (read.text, read.lines, read.confidence) == ("", (), None)
    assert len(recorded.asked) == 1


async def test_a_slow_server_is_given_up_and_told_so() -> None:
    async with serving() as recorded, client(recorded.url, timeout_seconds=4.0) as surya:
        recorded.answer(PAGE, after_seconds=30)
        began = time.monotonic()
        with pytest.raises(OcrServiceUnavailable):
            await surya.read(1, page())
        assert time.monotonic() - began < 8
        await until(lambda: recorded.dropped == 1)
    assert len(recorded.asked) == 1, "the client asked again by itself"


async def test_a_cancelled_page_drops_its_request() -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.answer(PAGE, after_seconds=30)
        reading = asyncio.create_task(surya.read(1, page()))
        await until(lambda: recorded.in_flight == 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await until(lambda: recorded.dropped == 1)
        recorded.answers.clear()
        assert (await surya.read(2, page())).page == 2


async def test_requests_in_flight_are_bounded_over_all_pages() -> None:
    async with serving() as recorded, client(recorded.url, concurrency=3) as surya:
        recorded.answer(PAGE, text=GARBAGE)
        recorded.answer(LAYOUT, text=json_layout(12))
        recorded.answer(BLOCK, text="<p>x</p>", after_seconds=0.05)
        pages = await asyncio.gather(*(surya.read(number, page()) for number in range(1, 4)))
    assert [len(read.lines) for read in pages] == [12] * 3
    assert recorded.most_in_flight <= 3


def json_layout(count: int) -> str:
    entries = (
        f'{{"label": "Text", "bbox": "100 {40 * i} 900 {40 * i + 38}", "count": 50}}'
        for i in range(1, count + 1)
    )
    return f"[{', '.join(entries)}]"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 429}, OcrServiceBusy),
        ({"status": 500}, OcrServiceUnavailable),
        ({"breaks_off": True}, OcrServiceUnavailable),
        ({"raw": b"{"}, OcrServiceUnavailable),
        ({"raw": b'{"choices": []}'}, OcrServiceUnavailable),
        ({"raw": b"null"}, OcrServiceUnavailable),
        ({"raw": b" " * (17 * 1024 * 1024)}, OcrServiceUnavailable),
    ],
    ids=["busy", "failing", "cut off", "half", "no choice", "null", "endless"],
)
async def test_a_server_that_fails_is_asked_once(
    answer: dict[str, object], error: type[OcrServiceUnavailable]
) -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.answer(PAGE, **answer)
        with pytest.raises(error) as caught:
            await surya.read(1, page())
    assert type(caught.value) is error
    assert len(recorded.asked) == 1


async def test_a_server_that_dies_in_mid_page_is_told_at_once() -> None:
    port = free_port()
    command = [sys.executable, "-m", "tests.torch.recorded_surya", str(port)]
    with subprocess.Popen(command) as server:  # noqa: ASYNC220 - it returns at once
        try:
            async with client(f"http://127.0.0.1:{port}") as surya:
                await until_healthy(surya)
                reading = asyncio.create_task(surya.read(1, page()))
                await asyncio.sleep(1.0)
                assert not reading.done()
                server.send_signal(signal.SIGKILL)
                began = time.monotonic()
                with pytest.raises(OcrServiceUnavailable):
                    await reading
                assert time.monotonic() - began < 2
                with pytest.raises(OcrServiceUnavailable):
                    await surya.check()
        finally:
            server.kill()


async def until_healthy(surya: SuryaOcr) -> None:
    for _ in range(400):
        try:
            await surya.check()
        except OcrServiceUnavailable:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not start")


async def test_another_model_is_refused_with_its_remedy() -> None:
    async with serving() as recorded, client(recorded.url) as surya:
        recorded.models = ("somebody/else",)
        with pytest.raises(ConfigurationError, match="surya-ocr-2") as caught:
            await surya.check()
        assert "MUNIMENT_SURYA__MODEL" in caught.value.remedy
        recorded.is_healthy = False
        with pytest.raises(OcrServiceUnavailable):
            await surya.check()


async def test_nothing_of_a_page_reaches_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("surya").propagate = True
    with caplog.at_level(logging.INFO):
        async with serving() as recorded, client(recorded.url) as surya:
            recorded.answer(PAGE, text=GARBAGE)
            recorded.answer(LAYOUT, text="[{its thread}]")
            with pytest.raises(OcrServiceUnavailable) as caught:
                await surya.read(1, page())
    assert "thread" not in caplog.text
    assert "thread" not in str(caught.value)


async def test_a_packed_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one could fill the memory once unpacked."""
    packed = gzip.compress(b" " * 1000)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
        writer.write(head.encode() + packed)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with client(f"http://127.0.0.1:{port}") as surya:
            with pytest.raises(OcrServiceUnavailable):
                await surya.check()
            with pytest.raises(httpx.ReadError):
                await surya._http.get(f"http://127.0.0.1:{port}")
