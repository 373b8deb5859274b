"""`python -m worker --queues muniment,muniment-scan`: serves task queues until it is told to stop."""

import gc

if __name__ == "__main__":
    # Next to nothing of what loading makes is garbage: looking for it costs a third more.
    gc.disable()

import argparse
import asyncio
import logging
import os
import resource
import sys

# Before anything loads a model library: no telemetry, and no thread pools beside our own slots.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import uvloop

from muniment.contracts import queues
from muniment.errors import MunimentError
from muniment.settings import load_settings
from muniment.telemetry.logs import configure_logging
from muniment.telemetry.request_context import RequestContextInterceptor
from muniment.telemetry.tracing import configure_tracing, temporal_tracing
from worker.metrics import serve_metrics
from worker.running import run_worker

logger = logging.getLogger("worker")

DEFAULT_QUEUES = (
    *(queues.WORKFLOWS, queues.SCAN, queues.PARSE),
    *(queues.OCR_CPU, queues.EMBED, queues.VERIFY, queues.DELIVER, queues.EVALUATE),
)


def main(arguments: list[str]) -> int:
    gc.freeze()
    gc.enable()
    # A dump of memory would put what is open and the keys on a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parser = argparse.ArgumentParser(prog="worker", description=__doc__)
    parser.add_argument(
        "--queues", default=",".join(DEFAULT_QUEUES), help="task queues, separated by commas"
    )
    names = [name for name in parser.parse_args(arguments).queues.split(",") if name]
    try:
        settings = load_settings()
        configure_logging("worker", settings.telemetry.level)
        if settings.worker.metrics_port is not None:
            serve_metrics(settings.worker.metrics_host, settings.worker.metrics_port)
        provider = configure_tracing("worker", settings.telemetry.otlp_endpoint)
        interceptors = [temporal_tracing(provider), RequestContextInterceptor()]
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run_worker(settings, names, interceptors))
        finally:
            provider.shutdown()
    except MunimentError as error:
        sys.stderr.write(f"{error.title}: {error.detail}\n{error.remedy}\n")
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK may abort the interpreter while it finalizes (temporalio/sdk-python#300);
    # everything was shut down in order, so nothing is lost by leaving at once.
    os._exit(code)
