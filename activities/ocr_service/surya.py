"""Surya 2: pages read by a vision model on a server, asked by surya-ocr's own client code.

What is to be asked, how pictures are scaled, what an answer means, and that a page whose answer cannot
be used is asked for block by block: all of it is `surya.recognition`. Only the way to the server is
ours: surya-ocr's waits in threads, which nobody can cancel, and asks again by itself.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import httpx
from openai import AsyncOpenAI
from PIL import Image
from pydantic import BaseModel
from surya.common.blank import is_blank_region
from surya.recognition import RecognitionPredictor
from surya.recognition.schema import BlockOCRResult
from surya.settings import settings as surya_settings

from activities.ocr_service.surya_page import SuryaBlock, page_of
from activities.ocr_service.surya_requests import HungUp, PageRequests
from activities.ocr_service.surya_transport import BoundedTransport
from activities.read.geometry import Box
from activities.read.page_image import PageImage
from activities.read.rasterise import in_colour
from muniment.contracts.documents import Page
from muniment.errors import ConfigurationError, MunimentError, OcrServiceUnavailable

CONNECT_SECONDS = 5.0
PROBE_SECONDS = 5.0
_SET_HERE = (
    *("SURYA_MAX_TOKENS_FULL_PAGE", "SURYA_MAX_TOKENS_LAYOUT", "SURYA_MAX_TOKENS_BLOCK_CEILING"),
    *(
        "SURYA_FULLPAGE_REGEN",
        "SURYA_GUIDED_LAYOUT",
        "BBOX_SCALE",
        "IMAGE_DPI",
        "IMAGE_DPI_HIGHRES",
    ),
)
"""What surya-ocr reads of the environment and pages depend on: set as it comes, so that equal
fingerprints mean equal pages."""


@dataclass(frozen=True, slots=True)
class SuryaOptions:
    """`url` is the OpenAI-compatible API, with or without `/v1` at its end."""

    url: str
    model: str
    api_key: str | None
    concurrency: int
    page_timeout_seconds: float

    @property
    def root(self) -> str:
        return self.url.rstrip("/").removesuffix("/v1")


class _ServedModel(BaseModel):
    id: str


class _Served(BaseModel):
    """The answer to `/v1/models`, as far as it matters here."""

    data: tuple[_ServedModel, ...]


class SuryaOcr:
    """An OcrService, to be entered once. Retries are Temporal's: nothing is sent twice here."""

    def __init__(self, options: SuryaOptions) -> None:
        self._options = options
        self._slots = asyncio.Semaphore(options.concurrency)
        self._threads = ThreadPoolExecutor(options.concurrency, thread_name_prefix="surya")
        # What a proxy's variables say is not for pages: they go where the administrator said.
        self._http = httpx.AsyncClient(
            transport=BoundedTransport(),
            timeout=httpx.Timeout(options.page_timeout_seconds, connect=CONNECT_SECONDS),
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )
        self._client = AsyncOpenAI(
            api_key=options.api_key or "none",
            base_url=f"{options.root}/v1",
            max_retries=0,
            http_client=self._http,
        )
        _keep_quiet()
        for name in _SET_HERE:
            setattr(surya_settings, name, type(surya_settings).model_fields[name].default)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self) -> None:
        """Returns when the server serves the model. OcrServiceUnavailable when it does not answer,
        ConfigurationError when it serves another."""
        key = {"Authorization": f"Bearer {self._options.api_key}"} if self._options.api_key else {}
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                healthy = await self._http.get(f"{self._options.root}/health", headers=key)
                listed = await self._http.get(f"{self._options.root}/v1/models", headers=key)
            healthy.raise_for_status()
            served = _Served.model_validate_json(listed.raise_for_status().content)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            raise OcrServiceUnavailable(
                f"Surya's server does not answer ({type(error).__name__}).",
                remedy="See that MUNIMENT_SURYA__URL and its key are right, and the server's log.",
            ) from None
        if self._options.model not in {model.id for model in served.data}:
            raise ConfigurationError(
                f"Surya's server has no model {self._options.model!r}.",
                remedy="Serve it (--served-model-name), or name in MUNIMENT_SURYA__MODEL what it serves.",
            )

    async def read(self, number: int, image: PageImage) -> Page:
        """As OcrService.read. Cancelling the awaiting task drops the page's requests, upon which the
        server stops computing."""
        loop = asyncio.get_running_loop()
        requests = PageRequests(
            self._client, self._options.model, self._slots, self._options.concurrency, loop
        )
        reading = loop.run_in_executor(self._threads, _recognise, number, image, requests)
        # Where nobody waits any more, nobody else looks at its error.
        reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(self._options.page_timeout_seconds):
                return await asyncio.shield(reading)
        except TimeoutError:
            raise OcrServiceUnavailable("Surya did not answer in time.") from None
        finally:
            requests.hang_up()


def _keep_quiet() -> None:
    """surya-ocr warns of answers by quoting them, which quotes the page."""
    logging.getLogger("surya").setLevel(logging.CRITICAL)
    for name in ("openai", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _recognise(number: int, image: PageImage, requests: PageRequests) -> Page:
    """In a thread, which mostly waits. OcrServiceUnavailable when no page can be made of the answers:
    whether the page, the model or the server is at fault cannot be told from here."""
    picture = Image.fromarray(in_colour(image).pixels[:, :, ::-1])
    try:
        (result,) = RecognitionPredictor(requests)([picture], full_page=True)
    except (MunimentError, HungUp):
        raise
    except Exception as error:  # noqa: BLE001 - surya-ocr computes with what a model wrote
        raise OcrServiceUnavailable(
            f"No page could be made of Surya's answers ({type(error).__name__})."
        ) from None
    blocks = sorted(result.blocks, key=lambda block: block.reading_order)
    if any(block.error for block in blocks) or not (blocks or is_blank_region(picture)):
        raise OcrServiceUnavailable("Surya read a part of the page only.")
    has_confidence = requests.has_probabilities
    return page_of(number, image, [_block(block, has_confidence) for block in blocks])


def _block(block: BlockOCRResult, has_confidence: bool) -> SuryaBlock:
    return SuryaBlock(
        label=block.label,
        html=block.html,
        box=Box.around([(x, y) for x, y in block.polygon]),
        confidence=block.confidence if has_confidence and not block.skipped else None,
    )
