"""`make quality`: how well the larger test data is read, per file, per format, against the goals.

`python -m bench.quality [--only NAME…] [--formats EXT…] [--limit N] [--processes N] [--scored]
[--ocr ENGINE] [--no-peers] [--lines FILE]`: tables as Markdown on standard output, a JSON line per
file in FILE.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Before onnxruntime is loaded anywhere: one engine per core, and no telemetry.
os.environ.update(OMP_NUM_THREADS="1", ORT_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1")

from activities.read.ocr_engine import OcrChoice
from bench.quality.cases import Case, data_folder, load_cases
from bench.quality.peers import peers_here
from bench.quality.results import FileResult
from bench.quality.run import score_all
from bench.quality.summary import file_table, format_table, goal_table
from bench.results import note
from muniment.contracts.ocr import OcrEngineName

_LINES = Path("build") / "quality.jsonl"
_WITHOUT_PDFTOTEXT = "pdftotext is not on PATH (poppler-utils): it is not compared with."


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="files whose path holds a TEXT")
    parser.add_argument("--formats", nargs="+", metavar="EXT", help="files of these extensions")
    parser.add_argument("--limit", type=int, help="the first N files")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--scored", action="store_true", help="files of known content alone")
    parser.add_argument(
        "--ocr", type=OcrEngineName, choices=list(OcrEngineName), default=OcrEngineName.RAPIDOCR
    )
    parser.add_argument("--no-peers", action="store_true", help="measures ours alone")
    parser.add_argument("--lines", type=Path, default=_LINES, help="where the JSON lines go")
    return parser.parse_args()


def _chosen(cases: Sequence[Case], options: argparse.Namespace) -> list[Case]:
    only, formats = options.only, options.formats
    chosen = [
        case
        for case in cases
        if (not only or any(part in case.name for part in only))
        and (not formats or case.format in formats)
        and (case.is_scored or not options.scored)
    ]
    return chosen[: options.limit]


async def _measure(options: argparse.Namespace) -> list[FileResult]:
    cases = _chosen(load_cases(data_folder()), options)
    results: list[FileResult] = []
    options.lines.parent.mkdir(parents=True, exist_ok=True)
    with options.lines.open("w", encoding="utf-8") as lines:
        measured = score_all(
            cases,
            options.processes,
            OcrChoice(engine=options.ocr),
            with_peers=not options.no_peers,
        )
        async for result in measured:
            results.append(result)
            lines.write(json.dumps(result.as_json(), ensure_ascii=False) + "\n")
            lines.flush()
            note(f"{len(results)}/{len(cases)} {result.name}: {result.outcome.value}")
    return sorted(results, key=lambda result: result.name)


def _print(results: Sequence[FileResult], seconds: float) -> None:
    parts = [
        "## Per file",
        file_table(results),
        "## Per format",
        format_table(results),
        "## Goals",
        goal_table(results),
        f"{len(results)} files in {seconds:.0f} s.",
    ]
    if "pdftotext" not in peers_here():
        parts.append(_WITHOUT_PDFTOTEXT)
    sys.stdout.write("\n\n".join(parts) + "\n")


def main() -> None:
    options = _options()
    started = time.perf_counter()
    _print(asyncio.run(_measure(options)), time.perf_counter() - started)


if __name__ == "__main__":
    main()
