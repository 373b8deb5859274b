"""Reads every case, ours and the peers', and scores it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from activities.engines import PRELOAD, DocumentEngines
from activities.read.ocr import RapidOcr
from activities.read.ocr_engine import OcrChoice
from activities.sandbox import Sandbox
from bench.quality.cases import Case, Truth
from bench.quality.ours import OurReader, Reading
from bench.quality.peers import peers_here, read_as
from bench.quality.results import FileResult, Outcome
from bench.quality.scoring import Scorer
from muniment.errors import DocumentError, EncryptedDocument, MunimentError

_COMPARED = frozenset({Truth.MARKDOWN, Truth.TEXT})
_OPENED = "It opened without its password."


async def score_all(
    cases: Sequence[Case], processes: int, ocr: OcrChoice, *, with_peers: bool
) -> AsyncIterator[FileResult]:
    """Results as they come, `processes` documents at a time."""
    scorer = Scorer(RapidOcr().alphabet())
    places = asyncio.Semaphore(processes)
    async with Sandbox(concurrency=processes, preload=PRELOAD) as sandbox:
        await sandbox.ready()
        reader = OurReader(DocumentEngines(sandbox, ocr))

        async def score(case: Case) -> FileResult:
            async with places:
                return await _score(case, reader, scorer, with_peers=with_peers)

        for next_done in asyncio.as_completed([score(case) for case in cases]):
            yield await next_done


async def _score(case: Case, reader: OurReader, scorer: Scorer, *, with_peers: bool) -> FileResult:
    started = time.perf_counter()
    outcome, problem, reading = await _read(case, reader)
    result = FileResult(
        name=case.name,
        format=case.format,
        category=case.category,
        outcome=outcome,
        seconds=time.perf_counter() - started,
        problem=problem,
    )
    if reading is None:
        return _unread(result, case)
    peers = await _peers(case) if with_peers else {}
    return await asyncio.to_thread(scorer.score, result, case, reading, peers)


async def _read(case: Case, reader: OurReader) -> tuple[Outcome, str | None, Reading | None]:
    """A document with a password must first be refused without it."""
    try:
        if case.needs_password and not await _asks_for_password(case, reader):
            return Outcome.REFUSED, _OPENED, None
        return Outcome.READ, None, await reader.read(case.path, case.password)
    except DocumentError as error:
        return Outcome.REFUSED, error.detail, None
    except MunimentError as error:
        return Outcome.CRASHED, error.detail, None


async def _asks_for_password(case: Case, reader: OurReader) -> bool:
    try:
        await reader.read(case.path, None)
    except EncryptedDocument:
        return True
    return False


def _unread(result: FileResult, case: Case) -> FileResult:
    """What should have been read and was not counts as nothing right."""
    if case.truth in _COMPARED:
        return replace(result, similarity=0.0)
    return result


async def _peers(case: Case) -> dict[str, str]:
    if case.truth not in _COMPARED:
        return {}
    found = {}
    for peer, formats in peers_here().items():
        if formats is None or case.format in formats:
            said = await read_as(peer, case.path)
            if said is not None:
                found[peer] = said
    return found
