"""Engines that behave in every way an engine can: well, slowly, greedily, fatally."""

import ctypes
import os
import time
from pathlib import Path

from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.base import Contract
from muniment.errors import EncryptedDocument


class Task(Contract):
    number: int = 0


class Outcome(Contract):
    number: int = 0
    text: str = ""


@engine("echo")
def echo(request: Task, context: EngineContext) -> Outcome:
    return Outcome(number=request.number, text=context.content.read().decode())


@engine("count")
def count(request: Task, context: EngineContext) -> Outcome:
    for number in range(request.number):
        context.report(Outcome(number=number))
    return Outcome(number=request.number)


@engine("sleep")
def sleep(request: Task, context: EngineContext) -> Outcome:
    context.report(Outcome(number=os.getpid()))
    time.sleep(request.number)
    return Outcome()


@engine("fork_and_sleep")
def fork_and_sleep(request: Task, context: EngineContext) -> Outcome:
    grandchild = os.fork()
    if grandchild == 0:
        time.sleep(600)
        os._exit(0)
    context.report(Outcome(number=grandchild))
    time.sleep(request.number)
    return Outcome()


@engine("spin")
def spin(request: Task, context: EngineContext) -> Outcome:
    while True:
        pass


@engine("swell")
def swell(request: Task, context: EngineContext) -> Outcome:
    return Outcome(text="x" * request.number)


@engine("segfault")
def segfault(request: Task, context: EngineContext) -> Outcome:
    ctypes.string_at(1)
    return Outcome()


@engine("refuse")
def refuse(request: Task, context: EngineContext) -> Outcome:
    raise EncryptedDocument("A password is needed.", remedy="Send it.")


@engine("blunder")
def blunder(request: Task, context: EngineContext) -> Outcome:
    raise KeyError("a secret of the document")


@engine("write")
def write(request: Task, context: EngineContext) -> Outcome:
    try:
        Path(context.content.read().decode()).write_text("left behind")
    except OSError as error:
        return Outcome(number=error.errno or 0)
    return Outcome()


@engine("environment")
def environment(request: Task, context: EngineContext) -> Outcome:
    return Outcome(number=len(os.listdir("/proc/self/fd")), text="\n".join(os.environ))
