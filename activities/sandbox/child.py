"""The child process: confined, it runs one engine on one document and answers through its pipe."""

import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel

from activities.sandbox import registry
from activities.sandbox.answer import FAILURE, PROGRESS, RESULT
from activities.sandbox.calls import Failure, Job
from activities.sandbox.confinement import allow_last_words, confine
from activities.sandbox.content import Content
from activities.sandbox.failures import failure_of_error
from muniment.errors import EngineCrashed, EngineOutOfMemory, MunimentError

_NATIVE_MEMORY_ERRORS = (
    "MemoryError",
    "bad_alloc",
    "bad allocation",
    "Failed to allocate",
    "OutOfMemory",
)
"""How libraries in C++ say that memory ran out, when they raise an exception of another type."""


def serve_job(job: Job, descriptors: Sequence[int], template_process_id: int) -> NoReturn:
    """Runs the job's engine and ends the process; never returns to the template's loop."""
    *inputs, output = descriptors
    _silence()
    confine(job, inputs, template_process_id)
    try:
        result = _run(job, inputs, output)
        _write(output, RESULT, result)
    except MunimentError as error:
        _write(output, FAILURE, failure_of_error(error))
    except MemoryError:
        allow_last_words()
        _write(output, FAILURE, _out_of_memory())
    except Exception as error:  # noqa: BLE001 - the border: an engine may raise anything
        allow_last_words()
        _write(output, FAILURE, _crash(error))
    os._exit(0)


def _run(job: Job, inputs: Sequence[int], output: int) -> BaseModel:
    engine = registry.find(job.engine)
    request = engine.request.model_validate_json(_read_all(inputs[0]))
    content = Content(inputs[1]) if job.has_content else None

    def report(progress: BaseModel) -> None:
        _write(output, PROGRESS, progress)

    return engine.run(request, registry.EngineContext(content, report))


def _silence() -> None:
    """Libraries print what they stumble over, document text included: nobody may read it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _write(output: int, word: bytes, message: BaseModel) -> None:
    frame = memoryview(b"%s %s\n" % (word, message.model_dump_json().encode()))
    while frame:
        frame = frame[os.write(output, frame) :]


def _out_of_memory() -> Failure:
    return failure_of_error(EngineOutOfMemory("The engine ran past its memory limit."))


def _crash(error: Exception) -> Failure:
    """Type and place of the error: its message may quote the document and stays here."""
    if any(sign in str(error) for sign in _NATIVE_MEMORY_ERRORS):
        return _out_of_memory()
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(innermost.filename).name}:{innermost.lineno}"
    return failure_of_error(EngineCrashed(f"The engine raised {type(error).__name__} at {place}."))
