"""Who stands back, and who does not."""

import asyncio
import os
import sys
import threading
from contextvars import ContextVar

import pytest

from activities.sandbox.limits import NICENESS
from activities.standing_back import in_background

request: ContextVar[str] = ContextVar("request")


def _priority() -> int:
    """Of this thread, on Linux."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
async def test_a_thread_that_computes_stands_back_and_no_other() -> None:
    ours = _priority()
    assert await in_background(_priority) == min(19, ours + NICENESS)
    assert await asyncio.to_thread(_priority) == ours
    assert _priority() == ours


async def test_it_knows_for_which_request_it_works() -> None:
    request.set("r-1")
    assert await in_background(request.get) == "r-1"
