"""A set of born-digital PDFs: real ones of the larger test data, each page of them with a text layer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import cycle
from pathlib import Path

from activities.engines import DocumentEngines
from bench.quality.cases import data_folder, load_cases
from muniment.contracts.documents import DocumentPlan, PageSource
from muniment.errors import MunimentError
from muniment.task_group import task_group

PDF = "application/pdf"


@dataclass(frozen=True)
class BornDigital:
    """A PDF all of whose pages are read by their text layer, and what `inspect` says of it."""

    path: Path
    plan: DocumentPlan


async def born_digital_set(
    folder: Path, engines: DocumentEngines, page_count: int
) -> list[BornDigital]:
    """Copies of real documents in `folder`, `page_count` pages at least, the longest first. When all
    of them are too few, they come again; the bytes of every copy are its own.

    Raises FileNotFoundError where the larger test data is absent.
    """
    originals = await _originals(engines)
    if not originals:
        raise FileNotFoundError(f"no born-digital PDF in {data_folder()}")
    return await asyncio.to_thread(_copies, originals, folder, page_count)


async def _originals(engines: DocumentEngines) -> list[BornDigital]:
    """In an order that mixes the kinds, the same on every run."""
    cases = [case for case in load_cases(data_folder()) if case.format == "pdf"]
    cases.sort(key=lambda case: sha256(case.name.encode()).digest())
    async with task_group() as tasks:
        inspections = [tasks.create_task(_inspected(engines, case.path)) for case in cases]
    return [found for each in inspections if (found := each.result()) is not None]


async def _inspected(engines: DocumentEngines, path: Path) -> BornDigital | None:
    """None for what does not open, or not without OCR."""
    try:
        plan = await engines.inspect(path, declared_media_type=PDF, name=path.name)
    except MunimentError:
        return None
    is_text = all(page.source is PageSource.TEXT for page in plan.pages)
    return BornDigital(path, plan) if is_text else None


def _copies(originals: Sequence[BornDigital], folder: Path, page_count: int) -> list[BornDigital]:
    copies: list[BornDigital] = []
    pages = 0
    for number, original in enumerate(cycle(originals)):
        path = folder / f"{number:04}-{original.path.name}"
        # What follows a PDF's end is no part of it, but of its digest.
        path.write_bytes(original.path.read_bytes() + f"\n% {number}\n".encode())
        copies.append(replace(original, path=path))
        pages += original.plan.page_count
        if pages >= page_count:
            break
    return sorted(copies, key=lambda copy: -copy.plan.page_count)
