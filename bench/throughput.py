"""Thirty mixed documents through `muniment ingest`, beside a bare loop over the same engines."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.bare import PROCESSES, bare_engines
from bench.corpus import mixed_documents, one_page_text
from bench.results import Result, note
from bench.stack import Stack

_MOST_SECONDS = 1800


async def measure_throughput(stack: Stack) -> None:
    """Prints the wall times, and how many documents each of the two read."""
    documents = mixed_documents()
    await asyncio.to_thread(_warm_up, stack)
    note(f"throughput: muniment ingest of {len(documents)} documents")
    started = time.perf_counter()
    ready = await asyncio.to_thread(_ingest, stack, documents)
    ours = time.perf_counter() - started
    note(f"throughput: the bare loop with {PROCESSES} processes")
    async with bare_engines() as engines:
        started = time.perf_counter()
        read = await engines.ingest_all(documents)
        bare = time.perf_counter() - started
    Result("throughput.ingest_wall", ours, "s", peer=bare).print()
    Result("throughput.documents_ready", ready, "count", peer=read).print()


def _ingest(stack: Stack, documents: Sequence[Path]) -> int:
    """How many became ready; those that no engine reads fail in both."""
    command = [_program(), "ingest", *map(str, documents), "--home", str(stack.home), "--json"]
    finished = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=_MOST_SECONDS, check=False
    )
    outcomes = [json.loads(line) for line in finished.stdout.splitlines()]
    for outcome in outcomes:
        if not outcome["ok"]:
            note(f"  not ready: {outcome['name']}: {(outcome['error'] or {}).get('title')}")
    return sum(outcome["ok"] for outcome in outcomes)


def _warm_up(stack: Stack) -> None:
    """Loads engines and model, as the bare loop's are loaded before its clock starts."""
    text = stack.home.parent / "first.txt"
    text.write_bytes(one_page_text(10_000))
    subprocess.run(
        [_program(), "ingest", str(text), "--home", str(stack.home), "--json"],
        stdout=subprocess.DEVNULL,
        timeout=_MOST_SECONDS,
        check=True,
    )


def _program() -> str:
    return str(Path(sys.executable).with_name("muniment"))
