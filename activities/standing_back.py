"""Threads that stand back: what takes a core for seconds makes room for whoever waits for milliseconds.

Only what computes and holds nothing: the loop of a worker holds rows of the database between two
statements, which uploads wait for, and answers for which a browser waits.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from activities.sandbox.limits import NICENESS

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")


async def in_background(
    function: Callable[ArgumentsT, ResultT],
    *arguments: ArgumentsT.args,
    **named: ArgumentsT.kwargs,
) -> ResultT:
    """As `asyncio.to_thread`, in one of the threads that stand back."""
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(
        _threads, lambda: context.run(function, *arguments, **named)
    )


def _stand_back() -> None:
    """With the threads that it starts. Elsewhere than on Linux a thread has no niceness of its own."""
    if sys.platform == "linux":
        os.nice(NICENESS)


_threads = ThreadPoolExecutor(thread_name_prefix="background", initializer=_stand_back)
