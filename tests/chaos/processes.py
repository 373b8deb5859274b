"""The processes of a stack's sandboxes: templates, and the engines forked from them."""

import psutil

from tests.stack import Stack, wait_for

TEMPLATE_MODULE = "activities.sandbox.template"


def templates(stack: Stack, worker: str = "worker-cpu") -> list[psutil.Process]:
    """The processes that the worker's engines are forked from."""
    try:
        children = psutil.Process(stack.pid(worker)).children()
        return [child for child in children if TEMPLATE_MODULE in child.cmdline()]
    except (psutil.NoSuchProcess, FileNotFoundError, IndexError):
        return []


def engines(stack: Stack) -> list[psutil.Process]:
    """Engines at work now."""
    found = []
    for template in templates(stack):
        try:
            found += template.children()
        except psutil.NoSuchProcess:
            continue
    return found


def an_engine_at_work(stack: Stack) -> psutil.Process:
    """One that has computed for a while and goes on: it is in the middle of a page."""

    def busy() -> psutil.Process | None:
        for engine in engines(stack):
            try:
                if engine.cpu_times().user > 0.3:
                    return engine
            except psutil.NoSuchProcess:
                continue
        return None

    return wait_for(busy, timeout_seconds=60, what="an engine at work", pause_seconds=0.02)
