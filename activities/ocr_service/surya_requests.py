"""One page's requests to Surya's server: what surya-ocr takes for its manager and its OpenAI client.

surya-ocr asks from threads of its own; the requests run on the worker's event loop, where they can be
dropped.
"""

import asyncio
from types import SimpleNamespace

import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion
from surya.inference.backends.openai_client import chat_completions_batch
from surya.inference.parsers import parse_full_page_html
from surya.inference.prompts import PROMPT_TYPE_HIGH_ACCURACY_BBOX
from surya.inference.schema import BatchInputItem, BatchOutputItem

from activities.ocr_service.surya_html import text_lines
from muniment.errors import OcrServiceBusy, OcrServiceUnavailable

MAXIMUM_BLOCKS = 200
"""Of a page, where it is asked for block by block: as many as the model may name."""
MAXIMUM_CHARACTERS = 200_000
"""Of one answer: a full page's twelve thousand tokens are some 50,000."""
PLACED_SHARE = 0.5
"""Of an answer's text, that must stand in blocks: what stands outside of them has no place and is lost."""


class HungUp(Exception):
    """Nobody waits for the page any more."""


class _CutShort(Exception):
    """The model did not come to an end."""


class PageRequests:
    """The requests of one page. `slots` bounds those of all pages; `parallel` those of this page."""

    def __init__(
        self,
        client: AsyncOpenAI,
        model: str,
        slots: asyncio.Semaphore,
        parallel: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.has_probabilities = True
        """Whether every answer came with the probabilities of its tokens."""
        self._client = client
        self._model = model
        self._slots = slots
        self._parallel = parallel
        self._loop = loop
        self._asking: set[asyncio.Task[ChatCompletion]] = set()
        self._hung_up = False
        self._failure: OcrServiceUnavailable | None = None
        # The shape of the OpenAI client, as far as surya-ocr uses it.
        self._as_client = SimpleNamespace(
            chat=SimpleNamespace(completions=SimpleNamespace(create=self._create))
        )

    def hang_up(self) -> None:
        """Drops what is asked, and asks nothing more. To be called on the event loop."""
        self._hung_up = True
        for task in self._asking:
            task.cancel()

    def generate(self, batch: list[BatchInputItem]) -> list[BatchOutputItem]:
        """As surya-ocr's manager. HungUp or OcrServiceUnavailable instead of answers that say of
        themselves that they are errors, but for the page as a whole: surya-ocr then asks for its
        blocks."""
        if len(batch) > MAXIMUM_BLOCKS:
            raise OcrServiceUnavailable("Surya sees more blocks than a page can have.")
        answers: list[BatchOutputItem] = chat_completions_batch(
            batch,
            client=self._as_client,
            model_name=self._model,
            max_workers=min(self._parallel, len(batch)),
            max_retries=0,
        )
        if self._hung_up:
            raise HungUp
        if self._failure is not None:
            raise self._failure
        for item, answer in zip(batch, answers, strict=True):
            is_page = item.prompt_type == PROMPT_TYPE_HIGH_ACCURACY_BBOX
            if is_page and not _is_usable_page(answer):
                answer.error = True
            if not is_page and (answer.error or len(answer.raw) > MAXIMUM_CHARACTERS):
                raise OcrServiceUnavailable("Surya did not finish a part of the page.")
            if not answer.error:
                self.has_probabilities &= answer.mean_token_prob is not None
        return answers

    def _create(self, **request: object) -> ChatCompletion:
        """Called in a thread of surya-ocr's, which takes any exception for an answer gone wrong."""
        return asyncio.run_coroutine_threadsafe(self._ask(request), self._loop).result()

    async def _ask(self, request: dict[str, object]) -> ChatCompletion:
        task = asyncio.current_task()
        if self._hung_up or task is None:
            raise HungUp
        self._asking.add(task)
        try:
            async with self._slots:
                # The time-out is the page's, and the connection's own.
                completion = await self._client.chat.completions.create(
                    **{**request, "timeout": openai.NOT_GIVEN}
                )
        except openai.RateLimitError:
            self._failure = OcrServiceBusy("Surya's server has too many pages waiting.")
            raise
        except (openai.OpenAIError, ValueError) as error:
            self._failure = OcrServiceUnavailable(
                f"A page was lost on its way to or from Surya ({type(error).__name__})."
            )
            raise
        finally:
            self._asking.discard(task)
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            self._failure = OcrServiceUnavailable("Surya's server does not speak as vLLM does.")
            raise self._failure
        if completion.choices[0].finish_reason == "length":
            raise _CutShort
        return completion


def _is_usable_page(answer: BatchOutputItem) -> bool:
    """Whether the answer's text stands in blocks that have a place. An empty answer may be right: of
    that surya-ocr judges by the picture."""
    if answer.error or len(answer.raw) > MAXIMUM_CHARACTERS:
        return False
    written = len("".join(text_lines(answer.raw)))
    blocks = parse_full_page_html(answer.raw)
    placed = sum(len("".join(text_lines(block.html))) for block in blocks)
    return placed >= PLACED_SHARE * written
