"""Another system on the same files: kreuzberg, which reads text layers, and scans by Tesseract where
the machine has its data.

docling-serve is not here: it installs docling with torch, and converts a page only with weights that
it fetches from a model hub.
"""

import multiprocessing
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kreuzberg import ExtractionConfig, KreuzbergError, extract_file_sync

from bench.results import note

_MOST_SECONDS = 3600


def kreuzberg_seconds(
    paths: Sequence[Path], warm_up: Path, processes: int, *, is_scanned: bool
) -> float | None:
    """Seconds for all files, a file at a time in each of so many warm processes, each with the
    threads that the library takes; None when it read none of them in an hour."""
    read = partial(_letters, is_scanned=is_scanned)
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(processes, len(paths))) as pool:
        pool.map(read, [warm_up] * processes, chunksize=1)
        started = time.perf_counter()
        try:
            letters = pool.map_async(read, paths, chunksize=1).get(timeout=_MOST_SECONDS)
        except multiprocessing.TimeoutError:
            note(f"kreuzberg: not done after {_MOST_SECONDS} s")
            return None
        seconds = time.perf_counter() - started
    unread = sum(count == 0 for count in letters)
    if unread:
        note(f"kreuzberg: nothing read of {unread} files of {len(letters)}")
    return seconds if unread < len(letters) else None


def _letters(path: Path, *, is_scanned: bool) -> int:
    """How much it read; 0 for a file that it refuses."""
    config = ExtractionConfig(output_format="markdown", force_ocr=is_scanned)
    try:
        return len(extract_file_sync(path, config=config).content)
    except KreuzbergError:
        return 0
