"""Calls as methods of both clients: written once, answered at once in the one and awaited in the
other.

A resource is a class of operations; its two faces say only how they are carried out:

    class PrincipalOperations:
        create = Operation(create_principal)

    class Principals(PrincipalOperations, Resource): ...
    class AsyncPrincipals(PrincipalOperations, AsyncResource): ...
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Generic, ParamSpec, Self, TypeVar, overload

from muniment.client.awaiting import Awaiting
from muniment.client.blocking import Blocking
from muniment.client.protocol import Call, Protocol

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Resource:
    """What the synchronous client has of the API."""

    def __init__(self, protocol: Protocol, run: Blocking) -> None:
        self._protocol = protocol
        self._run = run


class AsyncResource:
    """What the asynchronous client has of the API."""

    def __init__(self, protocol: Protocol, run: Awaiting) -> None:
        self._protocol = protocol
        self._run = run


class Operation(Generic[Arguments, Result]):
    """A call's function as a method that takes its arguments, and returns what the API answers."""

    def __init__(self, build: Callable[Arguments, Call[Result]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource, owner: type) -> Callable[Arguments, Result]: ...
    @overload
    def __get__(
        self, resource: AsyncResource, owner: type
    ) -> Callable[Arguments, Coroutine[None, None, Result]]: ...
    def __get__(
        self, resource: Resource | AsyncResource | None, owner: type
    ) -> "Self | Callable[Arguments, Result] | Callable[Arguments, Coroutine[None, None, Result]]":
        if resource is None:
            return self
        return (
            self._blocking(resource) if isinstance(resource, Resource) else self._awaited(resource)
        )

    def _blocking(self, resource: Resource) -> Callable[Arguments, Result]:
        @wraps(self._build)
        def perform(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            call = self._build(*args, **kwargs)
            return resource._run.run(resource._protocol.call(call))

        return perform

    def _awaited(
        self, resource: AsyncResource
    ) -> Callable[Arguments, Coroutine[None, None, Result]]:
        @wraps(self._build)
        async def perform(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            call = self._build(*args, **kwargs)
            return await resource._run.run(resource._protocol.call(call))

        return perform
