"""Which engines there are, by name. Engines run only inside the sandbox's child processes.

    @engine("chunk")
    def chunk(request: ChunkRequest, context: EngineContext) -> ChunkList: ...

The module that holds the engine is named in the sandbox's preload list; importing it registers the
engine. Request and response are pydantic models, found from the function's annotations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, get_type_hints

from pydantic import BaseModel

from activities.sandbox.content import Content
from muniment.errors import ConfigurationError

RequestT = TypeVar("RequestT", bound=BaseModel)
EngineResponseT = TypeVar("EngineResponseT", bound=BaseModel)


class Report(Protocol):
    """Hands an intermediate result to the caller at once, such as a page that was just read."""

    def __call__(self, progress: BaseModel, /) -> None: ...


class EngineContext:
    """What an engine has besides its request: the content and the way to report progress."""

    def __init__(self, content: Content | None, report: Report) -> None:
        self._content = content
        self.report = report

    @property
    def content(self) -> Content:
        """The document's bytes; ConfigurationError when the call was made without any."""
        if self._content is None:
            raise ConfigurationError("This engine needs a document's content and got none.")
        return self._content


@dataclass(frozen=True, slots=True)
class RegisteredEngine:
    name: str
    request: type[BaseModel]
    run: Callable[[BaseModel, EngineContext], BaseModel]


_ENGINES: dict[str, RegisteredEngine] = {}
_WARMERS: list[Callable[[], None]] = []


def engine(
    name: str,
) -> Callable[
    [Callable[[RequestT, EngineContext], EngineResponseT]],
    Callable[[RequestT, EngineContext], EngineResponseT],
]:
    """Registers a function as the engine `name`; a name can be taken once."""

    def register(
        function: Callable[[RequestT, EngineContext], EngineResponseT],
    ) -> Callable[[RequestT, EngineContext], EngineResponseT]:
        if name in _ENGINES:
            raise ConfigurationError(f"Two engines are called {name}.")
        request_type = next(iter(get_type_hints(function).values()))

        def run(request: BaseModel, context: EngineContext) -> BaseModel:
            if not isinstance(request, request_type):
                raise ConfigurationError(f"Engine {name} does not take this kind of request.")
            return function(request, context)

        _ENGINES[name] = RegisteredEngine(name=name, request=request_type, run=run)
        return function

    return register


def warm(function: Callable[[], None]) -> Callable[[], None]:
    """Registers what the template runs once before it serves: load models, fill caches."""
    _WARMERS.append(function)
    return function


def find(name: str) -> RegisteredEngine:
    """The engine of that name; ConfigurationError when no preloaded module registers it."""
    try:
        return _ENGINES[name]
    except KeyError:
        raise ConfigurationError(
            f"No engine is called {name}.", remedy="Name its module in the sandbox's preload list."
        ) from None


def warm_all() -> None:
    """Runs every warmer, in the order of registration."""
    for warmer in _WARMERS:
        warmer()
