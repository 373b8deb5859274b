"""`python -m bench [--only latency|throughput|ocr] [--runs N] [--pages N]`: JSON lines on standard output."""

import argparse
import asyncio
import os
import sys

# Before onnxruntime is loaded anywhere: one engine per core, and no telemetry.
os.environ.update(OMP_NUM_THREADS="1", ORT_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1")

from bench.latency import measure_latency
from bench.ocr import measure_ocr
from bench.stack import embedded_stack
from bench.throughput import measure_throughput

_BENCHMARKS = ("latency", "throughput", "ocr")
_WITH_STACK = frozenset({"latency", "throughput"})


async def run(names: list[str], runs: int, pages: int) -> None:
    if "ocr" in names:
        await measure_ocr(pages)
    if not _WITH_STACK.intersection(names):
        return
    with embedded_stack() as stack:
        if "latency" in names:
            await measure_latency(stack, runs)
        if "throughput" in names:
            await measure_throughput(stack)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=_BENCHMARKS, help="one benchmark instead of all")
    parser.add_argument("--runs", type=int, default=15, help="repetitions of the latency")
    parser.add_argument("--pages", type=int, default=100, help="pages of the scanned PDF")
    options = parser.parse_args()
    names = [options.only] if options.only else list(_BENCHMARKS)
    asyncio.run(run(names, options.runs, options.pages))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the Temporal SDK may abort in the interpreter's own exit (sdk-python#300)
