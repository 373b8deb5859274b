"""The best passages of a search, read once more by a model that sees question and passage together."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import structlog

from muniment.errors import MunimentError

AT_ONCE = 2
"""Searches of a process whose passages are read at a time: each reading takes the cores."""
BATCH = 4
"""Passages read at once: between batches it is seen whether the time is up."""

NO_RERANKER = "no reranker is configured: the order is that of the fusion"
TOO_SLOW = "the reranker took too long: the order is that of the fusion"
FAILED = "the reranker failed: the order is that of the fusion"

_log = structlog.get_logger(__name__)


class CrossEncoding(Protocol):
    """A model whose scores are logits. Calls block and may come from several threads."""

    model_id: str

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """One for each text, the greater the better. Raises errors of ours alone."""


class RerankingUnavailable(MunimentError):
    """The reranker took no part; `detail` says why. Never leaves this package."""


@dataclass(frozen=True)
class Reranker:
    """`passages`: how many of the best are read; at most so long."""

    model: CrossEncoding
    passages: int = 20
    timeout_seconds: float = 5.0
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    # A batch that is late goes on in its thread: of its own, so that it takes none that others need.
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rerank")
    )

    async def scores(self, query: str, texts: Mapping[UUID, str]) -> dict[UUID, float]:
        """Best first, equal ones in the order given. RerankingUnavailable where it fails or is late."""
        scores = list[float]()
        said = list(texts.values())
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeout_seconds), self.places:
                for start in range(0, len(said), BATCH):
                    batch = said[start : start + BATCH]
                    scores += await loop.run_in_executor(
                        self.threads, self.model.scores, query, batch
                    )
        except TimeoutError:
            raise RerankingUnavailable(TOO_SLOW) from None
        except MunimentError as error:
            cause = error.__cause__ or error
            _log.warning("reranker_failed", kind=type(cause).__name__)
            raise RerankingUnavailable(FAILED) from error
        if not all(map(math.isfinite, scores)):
            raise RerankingUnavailable(FAILED)
        order = sorted(zip(texts, scores, strict=True), key=lambda scored: -scored[1])
        return dict(order)


def probability(logit: float) -> float:
    """The logistic function, for any float."""
    return 0.5 * (1.0 + math.tanh(logit / 2.0))
