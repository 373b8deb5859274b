"""Requests built and sent with retries: what every call of the API shares."""

import ssl
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import httpx

from muniment.client.actions import Exchange, Flow, Open, Pause, ReadRest
from muniment.client.problems import ApiUnreachable, problem_of
from muniment.client.retry import Retry
from muniment.transport import ClientFiles, TlsSettings, client_context, refusal_of

Result = TypeVar("Result")

Parameters = Mapping[str, str | int | bool | None]
"""Query parameters; those that are None are left out."""

API_TLS = TlsSettings(
    "the API",
    authorities="MUNIMENT_API__CA_FILE",
    address="MUNIMENT_API__URL",
    identity="(the API is called with a key, without a certificate)",
)
DEFAULT_TIMEOUT_SECONDS = 30.0
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One call of the API.

    `creates` asks for an Idempotency-Key, which makes a POST safe to repeat; `repeatable` says so
    of a call that changes nothing or may happen twice.
    """

    method: str
    path: str
    parse: Callable[[httpx.Response], Result]
    parameters: Parameters = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object = None
    content: bytes | None = None
    repeatable: bool = True
    creates: bool = False


@dataclass(frozen=True)
class Protocol:
    """Where the API is, who calls, and how patiently."""

    base_url: str
    key: str = field(repr=False)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    retry: Retry = field(default_factory=Retry)

    def request(
        self,
        method: str,
        path: str,
        *,
        parameters: Parameters | None = None,
        json: object = None,
        content: bytes | None = None,
        fields: Mapping[str, str] | None = None,
        files: Sequence[tuple[str, tuple[str, object, str]]] | None = None,
        stream: httpx.SyncByteStream | None = None,
        headers: Mapping[str, str] | None = None,
        read_timeout_seconds: float | None = None,
    ) -> httpx.Request:
        """With a `stream` as its body a request has the headers that are given, and no others of its
        own: `Host` and `Content-Length` too."""
        timeout = httpx.Timeout(self.timeout_seconds, connect=_CONNECT_SECONDS)
        timeout.read = read_timeout_seconds or self.timeout_seconds
        query = {
            name: _text(value) for name, value in (parameters or {}).items() if value is not None
        }
        return httpx.Request(
            method,
            self.base_url.rstrip("/") + path,
            params=query or None,
            json=json,
            content=content,
            data=fields,
            # httpx needs no more than read, seek and tell, though its types ask for a whole IO
            files=files,  # type: ignore[arg-type]
            stream=stream,
            headers={
                "Authorization": f"Bearer {self.key}",
                "User-Agent": "muniment-client",
                "Accept": "application/json",
                **(headers or {}),
            },
            extensions={"timeout": timeout.as_dict()},
        )

    def call(self, call: Call[Result]) -> Flow[Result]:
        """Sends a call until it is answered, and parses the answer."""
        key = {"Idempotency-Key": str(uuid.uuid4())} if call.creates else {}
        headers = {**call.headers, **key}

        def build() -> httpx.Request:
            return self.request(
                call.method,
                call.path,
                parameters=call.parameters,
                json=call.json,
                content=call.content,
                headers=headers,
            )

        response = yield from self.exchange(
            build, repeatable=call.repeatable or call.creates, keyed=call.creates
        )
        return call.parse(response)

    def exchange(
        self, build: Callable[[], httpx.Request], *, repeatable: bool, keyed: bool = False
    ) -> Flow[httpx.Response]:
        """Sends a request, built anew for every attempt, until it succeeds. `keyed`: it carries an
        Idempotency-Key.

        Raises ApiProblem for an answer of 400 and above, ApiUnreachable when there is none.
        """
        attempt = 0
        while True:
            attempt += 1
            action = Exchange(build())
            try:
                yield action
            except httpx.TransportError as error:
                delay = self.retry.after_error(error, attempt, repeatable=repeatable)
                if delay is None:
                    raise self.unreachable(error) from error
            else:
                response = action.response
                if response.status_code < 400:
                    return response
                delay = self.retry.after_response(
                    response, attempt, repeatable=repeatable, keyed=keyed
                )
                if delay is None:
                    raise problem_of(response)
            yield Pause(delay)

    def open(self, request: httpx.Request) -> Flow[httpx.Response]:
        """Opens a response once, its body unread.

        Raises ApiProblem for an answer of 400 and above, httpx.TransportError when there is none.
        """
        action = Open(request)
        yield action
        if action.response.status_code >= 400:
            yield ReadRest()
            raise problem_of(action.response)
        return action.response

    def unreachable(self, error: httpx.TransportError) -> ApiUnreachable:
        if (refusal := refusal_of(error)) is not None:
            remedy = refusal.remedy(API_TLS)
            return ApiUnreachable(f"{self.base_url}: {refusal.detail(API_TLS)}", remedy=remedy)
        reason = str(error) or type(error).__name__
        return ApiUnreachable(f"{self.base_url}: {reason}")


def verification(authorities: Path | None) -> ssl.SSLContext | bool:
    """How a client checks the API's certificate: by these authorities alone, or as httpx does."""
    return True if authorities is None else client_context(ClientFiles(authorities), API_TLS)


def trusts_environment(url: str) -> bool:
    """Whether proxies and certificates that the environment names are meant for this address: no
    proxy may come between this machine and itself."""
    return urlsplit(url).hostname not in {"localhost", "127.0.0.1", "::1"}


def _text(value: str | int | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
