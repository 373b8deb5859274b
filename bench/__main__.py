"""`python -m bench [--only NAME] [--runs N] [--pages N] [--files N] [--chunks N] [--questions N]`: JSON lines
on stdout.

Without `--only` all but `soak` and `lexical`, which take as long as the others together, `fusion` and
`answers`. Ends with 1 when a limit was not held: of the speed of `transfer`, of what `viewers` cost, of what
`clients` met, of what `vector` found and in which time, of the memory that the workers of `soak` grew to, of
how fast and how exact `lexical` is, of how good `fusion` is, or of how soon `answers` begin.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial

# Before onnxruntime is loaded anywhere: one engine per core, and no telemetry.
os.environ.update(OMP_NUM_THREADS="1", ORT_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1")

from bench.answers import measure_answers
from bench.clients import measure_clients
from bench.fusion import measure_fusion
from bench.ingest import measure_ingest
from bench.latency import measure_latency
from bench.lexical import measure_lexical
from bench.ocr import measure_ocr
from bench.read import measure_read
from bench.soak import measure_soak
from bench.stack import embedded_stack
from bench.throughput import measure_throughput
from bench.transfer import measure_transfer
from bench.vector import measure_vectors
from bench.viewers import measure_viewers

_WITHOUT_STACK = ("read", "ocr", "lexical", "fusion", "answers")
"""Or with one of its own."""
_WITH_STACK = (
    "latency",
    "throughput",
    "ingest",
    "transfer",
    "viewers",
    "clients",
    "vector",
    "soak",
)
_ALONE = ("soak", "lexical", "fusion", "answers")


async def run(names: list[str], options: argparse.Namespace) -> bool:
    """Whether every limit that has to hold was held."""
    if "read" in names:
        await measure_read(options.pages or 500)
    if "ocr" in names:
        await measure_ocr(options.pages or 100)
    held = list[bool]()
    if "lexical" in names:
        held.append(await measure_lexical(options.chunks))
    if "fusion" in names:
        held.append(await measure_fusion(options.questions))
    if "answers" in names:
        held.append(await measure_answers())
    if not {*_WITH_STACK}.intersection(names):
        return all(held)
    with embedded_stack() as stack:
        if "latency" in names:
            await measure_latency(stack, options.runs)
        if "throughput" in names:
            await measure_throughput(stack)
        if "ingest" in names:
            await measure_ingest(stack, options.pages or 100, options.pages or 500)
        with_limits: dict[str, Callable[[], Awaitable[bool]]] = {
            "transfer": partial(measure_transfer, stack),
            "viewers": partial(measure_viewers, stack),
            "clients": partial(measure_clients, stack),
            "vector": partial(measure_vectors, stack),
            "soak": partial(measure_soak, stack, options.files),
        }
        held += [await measure() for name, measure in with_limits.items() if name in names]
    return all(held)


def main() -> bool:
    benchmarks = (*_WITHOUT_STACK, *_WITH_STACK)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=benchmarks, help="one benchmark instead of all")
    parser.add_argument("--runs", type=int, default=45, help="repetitions of the latency")
    parser.add_argument("--pages", type=int, help="pages read: 500 born-digital, 100 scanned ones")
    parser.add_argument("--files", type=int, default=1000, help="files of the soak")
    parser.add_argument("--chunks", type=int, default=1_000_000, help="passages of lexical")
    parser.add_argument("--questions", type=int, default=10_000, help="of a set of fusion")
    options = parser.parse_args()
    names = [options.only] if options.only else [name for name in benchmarks if name not in _ALONE]
    return asyncio.run(run(names, options))


if __name__ == "__main__":
    held = main()
    sys.stdout.flush()
    os._exit(
        0 if held else 1
    )  # the Temporal SDK may abort in the interpreter's own exit (sdk-python#300)
