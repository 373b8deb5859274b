"""Polls the queues it is given with one activity, and leaves a helper process in a session of its
own: stands for a worker where only supervision is under test."""

import asyncio
import os
import signal
import subprocess
import sys

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker


@activity.defn
async def do_nothing() -> None:
    """Gives the worker something to poll for."""


async def main(queues: list[str]) -> None:
    client = await Client.connect(os.environ["MUNIMENT_TEMPORAL__ADDRESS"])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    workers = [Worker(client, task_queue=queue, activities=[do_nothing]) for queue in queues]
    await asyncio.gather(*(worker.run() for worker in workers))


subprocess.Popen(["sleep", "300"], start_new_session=True)
asyncio.run(main(sys.argv[1].split(",")))
