"""What crosses between the worker and the template process.

With a Job go up to three descriptors: the request (JSON in a memory file), the content (optional)
and a pipe for the answer, whose frames `activities.sandbox.answer` describes.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from muniment.contracts.base import Contract

ResponseT = TypeVar("ResponseT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class EngineCall(Generic[ResponseT]):
    """Run the engine registered as `engine` on `request`; it answers with a `response`."""

    engine: str
    request: BaseModel
    response: type[ResponseT]


class Job(Contract):
    """A call as the template process receives it, beside its descriptors."""

    call: int
    engine: str
    has_content: bool
    cpu_seconds: int
    memory_bytes: int
    open_files: int
    written_bytes: int


class Kill(Contract):
    """End a call's process, whatever it does."""

    kill: int


class Ready(Contract):
    """The template has loaded its engines and serves calls; `threads` must be 1."""

    ready: bool = True
    threads: int = 1


class Ended(Contract):
    """A call's process is gone: killed by `signal`, or ended with `exit_code`."""

    ended: int
    exit_code: int | None = None
    signal: int | None = None
    peak_memory_bytes: int = 0
    cpu_seconds: float = 0.0


class Failure(Contract):
    """An error that an engine raised: `problem` names its class in muniment.errors."""

    problem: str
    detail: str
    remedy: str | None = None
